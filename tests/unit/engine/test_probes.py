"""After a refusal that passes, such as that of a quota: one start asks whether it has passed, and the rest wait."""

from tests.unit.engine.kit import Bench, at, bench, node, refused, seen

from fairlead.engine.model import Settings


def refused_all(count: int = 4, **more: object) -> Bench:
    """A run of tasks whose first starts were all refused until T0 + 5 s."""
    names = [f"t{number}" for number in range(count)]
    on = bench(*(node(name) for name in names), settings=Settings(**more))  # type: ignore[arg-type]
    assert on.started(*(refused(name, until=5, reason="QuotaExceeded") for name in names), after=0) == []
    return on


def test_one_start_asks_whether_the_refusal_has_passed() -> None:
    on = refused_all()
    assert on.started(after=4) == []
    assert on.started(after=5) == ["t0/1"]
    assert on.started(after=6) == []


def test_while_it_is_refused_one_asks_at_each_interval() -> None:
    on = refused_all()
    asked = []
    for seconds in (5, 10, 15):
        asked += on.started(after=seconds)
        name = asked[-1].partition("/")[0]
        on.tell(refused(name, until=seconds + 5, reason="QuotaExceeded"))
    assert len(asked) == 3


def test_once_one_start_succeeds_the_others_follow() -> None:
    on = refused_all()
    on.tell(after=5)
    assert on.started(seen("t0"), after=6) == ["t1/1", "t2/1", "t3/1"]


def test_they_follow_within_the_parallelism_of_the_run() -> None:
    on = refused_all(parallelism=2)
    on.tell(after=5)
    assert on.started(seen("t0"), after=6) == ["t1/1"]


def test_an_alarm_is_set_for_the_next_that_asks() -> None:
    on = refused_all()
    assert on.tell(after=1).wake_at == at(5)
