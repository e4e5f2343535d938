"""Settings for all tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _a_loop_to_go_back_to() -> Iterator[None]:
    """Give the main thread a loop that is closed in the end.

    pytest-asyncio asks for the current loop before it sets its own. Before Python 3.14 that makes one where there is
    none, which nobody closes: a ResourceWarning, and so a failed session, after all tests have passed.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
