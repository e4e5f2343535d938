"""Why is it not running? One machine reason and one sentence for every node that is not."""

import pytest
from tests.unit.engine.kit import Bench, Value, at, bench, failed, name_of, node, refused, retries, seen, succeeded

from fairlead.engine.events import Event
from fairlead.engine.model import Settings
from fairlead.engine.reasons import why


def reason(on: Bench, name: str) -> tuple[str, str]:
    return why(on.run, on.settings, on.state(name))


@pytest.mark.row("G5")
def test_it_waits_for_tasks_that_have_not_ended() -> None:
    on = bench(node("a"), node("b"), node("c", "a", "b"))
    assert reason(on, "c") == ("WaitingForTasks", "a, b")
    on.tell(succeeded("a"))
    assert reason(on, "c") == ("WaitingForTasks", "b")


def test_only_the_first_few_tasks_are_named() -> None:
    parents = [f"p{i}" for i in range(8)]
    on = bench(*map(node, parents), node("c", *parents))
    assert reason(on, "c") == ("WaitingForTasks", "p0, p1, p2, p3, p4 and 3 more")


def test_it_waits_for_a_slot() -> None:
    on = bench(node("a"), node("b"), settings=Settings(parallelism=1))
    assert reason(on, "b") == ("WaitingForParallelism", "1/1 running")


def test_the_api_server_has_enough_to_do_with_those_before_it() -> None:
    on = bench(node("a"), node("b"), settings=Settings(parallelism=9), begun=False)
    on.room = 1
    on.tell()
    assert reason(on, "b") == ("WaitingForApiServer", "those before it are created first")


@pytest.mark.row("G5")
def test_it_is_suspended() -> None:
    on = bench(node("a"), settings=Settings(suspend=True))
    assert reason(on, "a") == ("Suspended", "spec.suspend is true")


def test_the_server_refused_it_for_now() -> None:
    on = bench(node("a"))
    on.tell(refused("a", until=5, reason="QuotaExceeded"))
    assert reason(on, "a") == ("QuotaExceeded", "the server said no")


@pytest.mark.row("G5")
def test_that_stays_the_reason_while_it_is_asked_again() -> None:
    on = bench(node("a"))
    on.tell(refused("a", until=5, reason="QuotaExceeded"))
    assert on.started(after=5) == ["a/1"]
    assert reason(on, "a") == ("QuotaExceeded", "the server said no")
    on.tell(seen("a", started=5), after=6)
    assert reason(on, "a") == ("Starting", f"Pod {name_of('a')} exists and does not run yet")


def test_it_waits_for_its_next_attempt() -> None:
    on = bench(node("a", retry=retries(1, seconds=90)))
    on.tell(failed("a", end=5))
    assert reason(on, "a") == ("Backoff", "next attempt at 2026-11-22T08:01:35Z; the last one: ExitCode: ")
    assert on.state("a").not_before == at(95)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param([], ("Starting", f"Pod {name_of('a')} is being created"), id="asked for"),
        pytest.param([seen("a")], ("Starting", f"Pod {name_of('a')} exists and does not run yet"), id="created"),
        pytest.param([seen("a", reason="Unschedulable", message="0/1")], ("Unschedulable", "0/1"), id="unschedulable"),
        pytest.param([seen("a", running=1)], ("", ""), id="running"),
        pytest.param([succeeded("a")], ("", ""), id="succeeded"),
        pytest.param([failed("a")], ("ExitCode", ""), id="failed"),
    ],
)
@pytest.mark.row("G5")
def test_attempts(facts: list[Event], expected: tuple[str, str]) -> None:
    on = bench(node("a"), node("other"))
    on.tell(*facts)
    assert reason(on, "a") == expected


def test_it_was_skipped() -> None:
    on = bench(node("a", when=Value(False)), node("b", "a"))
    assert reason(on, "a") == ("WhenFalse", "its condition `when` is false")
    assert reason(on, "b") == ("TriggerRule", "trigger AllSucceeded: a Skipped")
