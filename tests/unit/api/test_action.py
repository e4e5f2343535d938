"""What is wrong with a WorkflowAction, whatever the run that it is about."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api.action import check_action

GOOD: dict[str, dict[str, Any]] = {
    "retry": {"action": "Retry"},
    "retry of one item, with the newest definition": {"action": "Retry", "tasks": ["load[3]"], "revision": "Latest"},
    "clear": {"action": "Clear", "tasks": ["load", "transform"]},
    "mark": {"action": "Mark", "tasks": ["load"], "phase": "Succeeded", "values": {"rows": 3}},
    "stop": {"action": "Stop", "mode": "Graceful", "reason": "wrong day"},
    "approve": {"action": "Approve", "tasks": ["sign-off"], "values": {"option": "eu"}},
    "reject": {"action": "Reject", "tasks": ["sign-off"]},
    "complete": {"action": "Complete", "tasks": ["wait"], "token": "demo-wait-0-1", "values": {"rows": [1, None]}},
    "heartbeat": {"action": "Heartbeat", "tasks": ["wait"], "token": "demo-wait-0-1"},
    "a whole one": {
        "action": "Stop",
        "mode": "Cancel",
        "requestedBy": {"username": "ann@acme.example", "groups": ["data"]},
    },
    "null is not there": {"action": "Stop", "mode": "Cancel", "tasks": None, "phase": None},
}


def action(**fields: Any) -> dict[str, Any]:
    return {"workflowName": "daily", "workflowUID": "0001", **fields}


def problems(**fields: Any) -> dict[str, str]:
    return {problem.path: problem.message for problem in check_action(action(**fields))}


@pytest.mark.parametrize("fields", GOOD.values(), ids=GOOD)
def test_good(fields: dict[str, Any]) -> None:
    assert problems(**fields) == {}


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"action": "Stop"}, "spec.mode", "is required for Stop: Graceful, Cancel or Terminate"),
        ({"action": "Retry", "mode": "Cancel"}, "spec.mode", "must not be set for Retry, only for Stop"),
        ({"action": "Mark", "tasks": ["a"]}, "spec.phase", "is required for Mark: Succeeded, Failed or Skipped"),
        (
            {"action": "Mark", "tasks": ["a"], "phase": "Running"},
            "spec.phase",
            "must be 'Succeeded', 'Failed' or 'Skipped'",
        ),
        (
            {"action": "Mark", "tasks": ["a"], "phase": "Failed", "values": {"x": 1}},
            "spec.values",
            "must not be set where `phase` is Failed: only what Succeeded has outputs",
        ),
        (
            {"action": "Clear"},
            "spec.tasks",
            "is required for Clear: names of tasks, items (`load[3]`) or groups",
        ),
        (
            {"action": "Stop", "mode": "Cancel", "tasks": ["a"]},
            "spec.tasks",
            "must not be set for Stop, only for Approve, Clear, Complete, Heartbeat, Mark, Reject and Retry",
        ),
        ({"action": "Clear", "tasks": []}, "spec.tasks", "must have at least 1 item, not 0"),
        ({"action": "Clear", "tasks": ["a", "b", "a"]}, "spec.tasks[2]", "names 'a' a second time"),
        (
            {"action": "Clear", "tasks": ["Load"]},
            "spec.tasks[0]",
            "must be the name of a task (lowercase letters, digits and '-'), for an item with its",
        ),
        (
            {"action": "Complete", "tasks": ["a"]},
            "spec.token",
            "is required for Complete: the name of the attempt, from the task's status",
        ),
        (
            {"action": "Complete", "tasks": ["a", "b"], "token": "t"},
            "spec.tasks",
            "must name one task where there is a `token`, which belongs to one attempt",
        ),
        (
            {"action": "Approve", "tasks": ["a"], "token": "t"},
            "spec.token",
            "must not be set for Approve, only for Complete, Heartbeat and Reject",
        ),
        (
            {"action": "Complete", "tasks": ["a"], "token": "t", "values": {"x": "é" * 33_000}},
            "spec.values",
            "has 66,009 bytes as JSON; at most 65,536 are allowed",
        ),
        (
            {"action": "Mark", "tasks": ["a"], "phase": "Failed", "revision": "Latest"},
            "spec.revision",
            "must not be set for Mark, only for Clear and Retry",
        ),
        ({"action": "Cancel"}, "spec.action", "must be one of Retry, Clear, Mark, Stop, Approve"),
        ({"action": "Retry", "task": "a"}, "spec.task", "unknown field; did you mean 'tasks'?"),
        ({"action": "Retry", "workflowUID": None}, "spec.workflowUID", "is required"),
    ],
)
def test_bad(fields: dict[str, Any], path: str, message: str) -> None:
    assert message in problems(**fields)[path]


def test_everything_is_told_at_once() -> None:
    found = problems(action="Stop", tasks=["A"], values=3, token="t")
    assert set(found) == {"spec.mode", "spec.tasks", "spec.tasks[0]", "spec.values", "spec.token"}


@pytest.mark.parametrize("spec", [None, [], "Stop"])
def test_what_is_no_spec(spec: Any) -> None:
    [problem] = check_action(spec)
    assert str(problem) == "spec: must be an object"
