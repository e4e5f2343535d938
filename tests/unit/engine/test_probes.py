"""After a refusal that passes, such as that of a quota: one start asks whether it has passed, and the rest wait."""

from tests.unit.engine.kit import Bench, FakeWork, at, bench, gone, node, refused, seen, succeeded

from fairlead.engine.events import StatusRecorded
from fairlead.engine.model import Settings, WorkKind


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


def test_one_that_asks_and_is_refused_for_good_hands_over_to_the_next() -> None:
    on = refused_all()
    on.tell(after=5)
    on.tell(refused("t0", until=None, reason="ObjectRefused"), after=6)
    assert on.phase("t0") == "Failed"
    assert on.started(StatusRecorded(revision=on.run.revision), after=6) == ["t1/1"]
    assert within(on, 7, 12) == []


def test_one_that_is_taken_back_before_it_could_ask_lets_another_ask_soon() -> None:
    on = refused_all()
    on.tell(after=5)
    assert len(on.started(refused("t0", until=6, reason="Suspended"), after=6)) == 1
    assert within(on, 7, 12) == []


def with_a_request(**more: object) -> Bench:
    """A run of a pod whose start was refused until T0 + 5 s, and a request that comes first in line."""
    request = node("request", "first", work=FakeWork({}, kind=WorkKind.HTTP), priority=1)
    on = bench(node("first"), request, node("pod"))
    on.settings = Settings(**more)  # type: ignore[arg-type]
    on.tell(succeeded("first"), refused("pod", until=5, reason="QuotaExceeded"), after=0)
    return on


def test_what_has_no_object_asks_nothing() -> None:
    assert with_a_request().started(after=5) == ["pod/1"]


def test_no_alarm_rings_in_the_past_while_all_slots_are_taken() -> None:
    on = with_a_request(parallelism=1)
    on.tell(after=5)
    assert (on.phase("request"), on.phase("pod")) == ("Running", "Queued")
    assert on.tell(after=6).wake_at is None


def test_no_alarm_rings_in_the_past_while_suspended() -> None:
    on = refused_all()
    on.settings = Settings(suspend=True)
    assert on.tell(after=7).wake_at is None
    on.settings = Settings()
    assert on.started(after=8) == ["t0/1"]


def test_no_alarm_rings_in_the_past_while_an_end_is_to_be_recorded() -> None:
    on = bench(node("x"), node("t0"), node("t1"))
    on.tell(seen("x"), after=0)
    on.tell(refused("t0", until=5), refused("t1", until=5))
    planned = on.tell(gone("x", when=4), after=4)
    assert not on.run.is_proven
    assert planned.wake_at is None or planned.wake_at > at(4)
    planned = on.tell(after=6)
    assert planned.wake_at is None or planned.wake_at > at(6)


def within(on: Bench, first: int, last: int) -> list[str]:
    """Plan once a second. Returns what was started."""
    return [name for seconds in range(first, last + 1) for name in on.started(after=seconds)]
