"""The stage that tests of the operator's parts play on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.controllers.fake_api import Stage


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """An operator that has not begun yet; at the end of the test it is stopped."""
    found = Stage(monkeypatch)
    yield found
    await found.crash()
