"""A Workflow object and the engine's state give the same picture."""

from __future__ import annotations

from datetime import UTC, datetime

from fairlead.cli.view import ItemCounts, declared_needs, view_of_object
from fairlead.engine.model import Phase

STATUS = {
    "phase": "Failed",
    "message": "task 'b' failed",
    "startTime": "2026-01-01T00:00:00Z",
    "completionTime": "2026-01-01T00:00:05Z",
    "outputs": {"rows": 1},
    "conditions": [
        {"type": "Succeeded", "status": "False", "reason": "TaskFailed"},
        {"type": "Finished", "status": "True"},
    ],
    "tasks": [
        {"name": "a", "phase": "Succeeded", "startTime": "2026-01-01T00:00:00Z", "attempts": [{}, {}]},
        {"name": "b", "phase": "Failed", "reason": "ExitCode", "message": "exit code 1"},
    ],
}


def _workflow(status: object) -> dict[str, object]:
    return {"metadata": {"name": "demo"}, "status": status}


def test_a_status_is_read_as_the_operator_wrote_it() -> None:
    view = view_of_object(_workflow(STATUS), {"a": (), "b": ("a",)})
    assert (view.phase, view.succeeded, view.message, view.outputs) == ("Failed", False, "task 'b' failed", {"rows": 1})
    assert view.completed_at == datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC)
    first, second = view.tasks
    assert (first.phase, first.attempts, first.needs) == (Phase.SUCCEEDED, 2, ())
    assert (second.phase, second.reason, second.message, second.needs) == (
        Phase.FAILED,
        "ExitCode",
        "exit code 1",
        ("a",),
    )
    assert view.ended == 2


def test_a_workflow_without_a_status_waits_for_an_operator() -> None:
    view = view_of_object(_workflow(None), {"a": ()})
    assert (view.phase, view.succeeded, view.message) == ("Pending", None, "no operator has recorded anything yet")
    assert [task.phase for task in view.tasks] == [Phase.WAITING]


def test_items_and_rounds_are_read_from_a_status() -> None:
    status = {
        **STATUS,
        "tasks": [
            {"name": "m", "phase": "Failed", "items": {"total": 3, "succeeded": 1, "failed": 1, "cancelled": 1}},
            {"name": "m[1]", "phase": "Failed", "attempts": [{}, {"iteration": 2}]},
            {"name": "tidy", "phase": "Succeeded"},
        ],
    }
    view = view_of_object(_workflow(status), {"m": (), "tidy": ()}, {"tidy"})
    task, item, final = view.tasks
    assert task.items == ItemCounts(total=3, succeeded=1, failed=1, cancelled=1)
    assert (item.task, item.is_item, item.round) == ("m", True, 2)
    assert (task.final, item.final, final.final) == (False, False, True)
    assert (view.whole, view.ended) == ((task, final), 2)


def test_a_group_stands_for_its_tasks() -> None:
    spec = {
        "tasks": [
            {"name": "a", "group": "g"},
            {"name": "b", "group": "g"},
            {"name": "c", "needs": ["g", "a", "nobody"]},
        ],
        "finally": [{"name": "d"}, {"name": "e", "needs": ["d"]}],
    }
    assert declared_needs(spec) == {"a": (), "b": (), "c": ("a", "b"), "d": (), "e": ("d",)}
