"""The table of kinds, which everything that tells kinds apart looks into."""

from __future__ import annotations

import pytest

from fairlead.api.kinds import KINDS
from fairlead.api.task import TASK_KINDS, Task

FIELDS = {info.alias or name for name, info in Task.model_fields.items()}


def test_every_kind_of_the_api_is_in_the_table() -> None:
    assert tuple(KINDS) == TASK_KINDS
    assert set(KINDS) <= set(Task.model_fields)


@pytest.mark.parametrize("name", KINDS)
def test_the_fields_that_a_kind_has_no_use_for_exist(name: str) -> None:
    assert set(KINDS[name].unfit) <= FIELDS - {name}
