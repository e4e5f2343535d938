"""Random runs: graphs of up to eight tasks with rules, conditions, budgets, and ends for their attempts."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.property.script import DONE, EVICTED, FAILS, REFUSED, Fixed, Task

from fairlead.engine.model import TriggerRule

ENDS = st.sampled_from([*[DONE] * 4, FAILS, FAILS, EVICTED, EVICTED, REFUSED])
RULES = st.sampled_from([TriggerRule.ALL_SUCCEEDED, *TriggerRule])


@st.composite
def tasks(draw: st.DrawFn, *, most: int = 8) -> list[Task]:
    names = [f"t{i}" for i in range(draw(st.integers(1, most)))]
    return [
        Task(
            name=name,
            needs=draw(st.lists(st.sampled_from(names[:i]), unique=True, max_size=3)) if i else [],
            trigger=draw(RULES),
            when=draw(st.sampled_from([None, None, None, Fixed(True), Fixed(False)])),
            limit=draw(st.integers(0, 2)),
            infrastructure_limit=draw(st.integers(0, 2)),
            ends=draw(st.lists(ENDS, min_size=1, max_size=4)),
        )
        for i, name in enumerate(names)
    ]


PARALLELISM = st.sampled_from([None, 1, 2, 3])
