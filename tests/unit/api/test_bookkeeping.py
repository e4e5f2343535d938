from typing import Any

import pytest

from fairlead.api.bookkeeping import without_bookkeeping

APPLIED = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        pytest.param({"name": "a", "managedFields": [{}]}, {"name": "a"}, id="who set which field"),
        pytest.param({"annotations": {**APPLIED, "mine": "1"}}, {"annotations": {"mine": "1"}}, id="kubectl's copy"),
        pytest.param({"annotations": {"mine": "1"}}, {"annotations": {"mine": "1"}}, id="what is the user's"),
        pytest.param({"annotations": None}, {"annotations": None}, id="no annotations"),
    ],
)
def test_what_only_writers_read_is_left_out_of_a_copy(metadata: dict[str, Any], kept: dict[str, Any]) -> None:
    before = dict(metadata)
    assert without_bookkeeping(metadata) == kept
    assert metadata == before
