from __future__ import annotations

import pytest
from tests.unit.testing.apiserver.client import Client


@pytest.fixture
def api() -> Client:
    return Client()
