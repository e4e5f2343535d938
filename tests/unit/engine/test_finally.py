"""`finally`: it comes after everything else, however that ended, and does not turn failure into success."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.kit import Bench, FakeWork, Value, asked, bench, cut_off, failed, node, seen, succeeded

from fairlead.engine import scopes
from fairlead.engine.model import ForEach, Node, Settings, StopMode
from fairlead.engine.reasons import why


def last(name: str = "f", *needs: str, **more: Any) -> Node:
    return node(name, *needs, final=True, **more)


def verdict(on: Bench) -> tuple[bool, str]:
    assert on.run.outcome is not None
    return on.run.outcome.succeeded, on.run.outcome.reason


@pytest.mark.row("B7")
def test_it_comes_when_all_other_tasks_have_ended() -> None:
    on = bench(node("a"), node("b"), last())
    assert why(on.run, on.settings, on.state("f")) == (
        "WaitingForTasks",
        "`finally` comes when all other tasks have ended",
    )
    assert on.started(succeeded("a")) == []
    assert on.started(succeeded("b")) == ["f/1"]
    on.tell(succeeded("f"))
    assert verdict(on) == (True, "Succeeded")


@pytest.mark.row("B7")
def test_it_comes_after_a_failure_and_the_run_stays_failed() -> None:
    on = bench(node("a"), last())
    assert on.started(failed("a")) == ["f/1"]
    on.tell(succeeded("f"))
    assert verdict(on) == (False, "TaskFailed")


@pytest.mark.row("B7")
@pytest.mark.parametrize("mode", [StopMode.GRACEFUL, StopMode.CANCEL])
def test_it_comes_after_a_stop(mode: StopMode) -> None:
    on = bench(node("a"), node("b", "a"), last())
    on.tell(seen("a", running=1))
    on.tell(asked("Stop", mode=mode))
    fact = succeeded("a") if mode is StopMode.GRACEFUL else cut_off("a")
    on.tell(fact)
    on.recorded()
    assert on.phase("f") == "Starting"


@pytest.mark.row("fine:finally")
def test_it_does_not_come_after_terminate() -> None:
    on = bench(node("a"), last())
    on.tell(asked("Stop", mode=StopMode.TERMINATE))
    on.recorded()
    assert on.phase("f") == "Cancelled"


def test_a_restarted_controller_learns_of_the_deadline_from_what_was_ended_for_it() -> None:
    on = bench(node("a"), last(), settings=Settings(deadline_seconds=60))
    on.tell(seen("a", running=1), after=1)
    again = on.restarted()
    assert on.ended(after=60) == [("a/1", "RunDeadlineExceeded")]
    again.tell(cut_off("a", reason="RunDeadlineExceeded", end=61), after=61)
    assert again.run.stopping == "RunDeadlineExceeded"


@pytest.mark.row("B7")
def test_it_comes_after_the_run_s_deadline_and_outside_of_it() -> None:
    on = bench(node("a"), last(), settings=Settings(deadline_seconds=60))
    on.tell(seen("a", running=1), after=1)
    assert on.ended(after=60) == [("a/1", "RunDeadlineExceeded")]
    on.tell(cut_off("a", reason="RunDeadlineExceeded", end=61), after=61)
    assert on.phase("f") == "Starting"
    on.tell(seen("f", started=61, running=62), after=200)
    assert on.phase("f") == "Running"
    on.tell(succeeded("f", end=201), after=201)
    assert verdict(on) == (False, "DeadlineExceeded")


@pytest.mark.row("fine:finally")
def test_it_has_a_deadline_of_its_own() -> None:
    on = bench(node("a"), last(), final_deadline_seconds=30)
    on.tell(succeeded("a", end=5), after=5)
    assert on.tell(seen("f", started=5, running=6), after=6).wake_at is not None
    assert on.ended(after=35) == [("f/1", "FinallyDeadlineExceeded")]


def test_once_its_deadline_has_passed_nothing_is_looked_at_again_until_what_runs_has_ended() -> None:
    on = bench(node("a"), last(), final_deadline_seconds=30)
    on.tell(succeeded("a", end=5), after=5)
    on.tell(seen("f", started=5, running=6), after=6)
    assert on.tell(after=35).wake_at is None
    assert on.tell(after=36).wake_at is None


def test_its_failure_is_shown_and_fails_the_run_only_when_required() -> None:
    for required, expected in ((False, (True, "Succeeded")), (True, (False, "FinallyFailed"))):
        on = bench(node("a"), last(required=required))
        on.tell(succeeded("a"))
        on.tell(failed("f"))
        assert on.phase("f") == "Failed"
        assert verdict(on) == expected


@pytest.mark.row("fine:finally")
def test_it_ignores_parallelism_and_suspension() -> None:
    on = bench(node("a"), last("f"), last("g"), settings=Settings(parallelism=1))
    on.settings = Settings(parallelism=1, suspend=True)
    assert on.started(succeeded("a")) == ["f/1", "g/1"]


def test_it_may_have_an_order_of_its_own() -> None:
    on = bench(node("a"), last("f"), last("g", "f"))
    assert on.started(succeeded("a")) == ["f/1"]
    assert on.started(succeeded("f")) == ["g/1"]


def test_it_sees_how_the_run_has_come_to_its_end() -> None:
    scopes: list[Any] = []
    work = FakeWork(lambda scope: scopes.append(scope["run"]["summary"]))
    on = bench(node("a"), node("b"), node("c", "b"), last(work=work))
    on.tell(succeeded("a"), failed("b"))
    assert scopes == [
        {
            "total": 3,
            "counts": {"Cancelled": 0, "Failed": 1, "Skipped": 0, "Succeeded": 1, "UpstreamFailed": 1},
            "failed": ["b"],
            "stopped": "",
        }
    ]


def test_it_may_work_on_a_list() -> None:
    on = bench(node("a"), last("f", for_each=ForEach(items=Value([1, 2]))))
    assert on.started(succeeded("a")) == ["f[0]/1", "f[1]/1"]
    on.tell(succeeded("f[0]"), succeeded("f[1]"))
    assert verdict(on) == (True, "Succeeded")


def test_after_a_restart_it_goes_on() -> None:
    on = bench(node("a"), last(), final_deadline_seconds=30)
    on.tell(succeeded("a", end=5), after=5)
    on.tell(seen("f", started=5, running=6), after=6)
    again = on.restarted()
    again.tell(seen("f", started=5, running=6), after=10)
    assert again.ended(after=35) == [("f/1", "FinallyDeadlineExceeded")]


def test_what_it_is_told_of_the_run_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    real = scopes.summary_of
    monkeypatch.setattr(scopes, "summary_of", lambda graph, run: counted.append(run.stopping) or real(graph, run))
    text = FakeWork(lambda scope: str(scope["run"]["summary"]["counts"]["Failed"]))
    on = bench(node("a"), last(work=text, for_each=ForEach(items=Value([1, 2, 3]))))
    assert on.started(failed("a")) == ["f[0]/1", "f[1]/1", "f[2]/1"]
    assert counted == [""]
