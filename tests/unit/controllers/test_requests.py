"""Requests on a run, with the engine that decides about them: what they do to its pods and to its status."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.controllers.fake_api import NAMESPACE, Stage, looptime, tasks

from fairlead.controllers.identity import POLICY
from fairlead.kube.errors import ServerError
from fairlead.kube.resources import (
    ADMISSION_POLICIES,
    ADMISSION_POLICY_BINDINGS,
    PODS,
    WORKFLOWACTIONS,
    WORKFLOWS,
    Resource,
)
from fairlead.kube.transport import JsonObject

pytestmark = looptime


def ask(stage: Stage, action: str, run: str = "daily", **spec: Any) -> str:
    """Create a WorkflowAction; returns its name."""
    name = f"{action.lower()}-{len(stage.api.of(WORKFLOWACTIONS))}"
    asked = {"workflowName": run, "workflowUID": stage.uid(run), "action": action, "requestedBy": {"username": "ann"}}
    metadata = {"namespace": NAMESPACE, "name": name}
    stage.api.put(WORKFLOWACTIONS, {"metadata": metadata, "spec": asked | spec})
    return name


def accepted(stage: Stage, name: str) -> tuple[str, str]:
    """Status and reason of an action's condition Accepted; empty where there is none."""
    conditions = stage.api.of(WORKFLOWACTIONS)[name].get("status", {}).get("conditions", ())
    return next(((each["status"], each["reason"]) for each in conditions if each["type"] == "Accepted"), ("", ""))


def chain() -> JsonObject:
    """The task b comes after a, and c is on its own."""
    return {"tasks": [*tasks("a")["tasks"], *tasks("b", needs=["a"])["tasks"], *tasks("c")["tasks"]]}


async def failed(stage: Stage) -> None:
    """A run of which a has failed and c has succeeded is over."""
    await stage.begin()
    stage.apply(chain())
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"), code=1)
    stage.ends(stage.pod("c"))
    await asyncio.sleep(3)
    assert stage.phases() == {"a": "Failed", "b": "UpstreamFailed", "c": "Succeeded"}
    assert stage.operator.controller.active == {}


# -- retry


async def test_what_another_operator_has_begun_since_the_run_was_over_is_left_alone(stage: Stage) -> None:
    await failed(stage)
    over = stage.operator.store.get(stage.uid())
    assert over is not None
    ask(stage, "Retry")
    await asyncio.sleep(3)
    again = stage.pod("a", 2)
    await stage.operator.cleaner.finished(over)  # as one that has not heard of the retry yet
    await asyncio.sleep(1)
    assert stage.holds(again)
    assert not stage.is_ending(again)


async def test_a_retry_runs_again_what_failed_and_what_comes_after_it(stage: Stage) -> None:
    await failed(stage)
    await asyncio.sleep(60)
    name = ask(stage, "Retry")
    await asyncio.sleep(2)
    assert accepted(stage, name) == ("True", "Accepted")
    assert stage.status()["epoch"] == 2
    assert (stage.condition("Finished")["status"], stage.condition("Succeeded")["status"]) == ("False", "Unknown")
    stage.ends(stage.pod("a", 2))
    await asyncio.sleep(1)
    stage.ends(stage.pod("b"))
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.phases() == {"a": "Succeeded", "b": "Succeeded", "c": "Succeeded"}
    assert stage.api.count("create", PODS) == 4
    [a, *_] = stage.status()["tasks"]
    assert [(each["number"], each.get("epoch", 1)) for each in a["attempts"]] == [(1, 1), (2, 2)]
    assert stage.held() == []
    assert stage.operator.controller.active == {}


@pytest.mark.parametrize("seconds", [0.0, 0.002, 0.004, 0.006, 0.008, 0.01, 0.05, 0.5, 1.0, 1.5])
async def test_a_retry_survives_a_crash_at_any_time(stage: Stage, seconds: float) -> None:
    await failed(stage)
    name = ask(stage, "Retry")
    await asyncio.sleep(seconds)
    await stage.restart()
    await asyncio.sleep(3)
    assert accepted(stage, name) == ("True", "Accepted")
    assert stage.status()["epoch"] == 2
    stage.ends(stage.pod("a", 2))
    await asyncio.sleep(2)
    stage.ends(stage.pod("b"))
    await asyncio.sleep(3)
    assert stage.phases() == {"a": "Succeeded", "b": "Succeeded", "c": "Succeeded"}
    assert stage.api.count("create", PODS) == 4
    assert len(stage.status()["actions"]) == 1


async def test_a_retry_whose_answer_was_lost_is_one_retry(stage: Stage) -> None:
    await failed(stage)
    stage.api.fail(ServerError(504, "Timeout", "lost"), "patch", WORKFLOWS, times=1, applied=True)
    name = ask(stage, "Retry")
    await asyncio.sleep(5)
    assert accepted(stage, name) == ("True", "Accepted")
    assert stage.status()["epoch"] == 2
    assert stage.api.count("create", PODS) == 3


async def test_nothing_starts_before_the_retry_is_on_record(stage: Stage) -> None:
    await failed(stage)
    writing = stage.api.hold("patch", WORKFLOWS)
    ask(stage, "Retry")
    await asyncio.sleep(10)
    assert stage.api.count("create", PODS) == 2
    writing.lift()
    await asyncio.sleep(1)
    assert stage.api.count("create", PODS) == 3


async def test_of_two_retries_one_is_done(stage: Stage) -> None:
    await failed(stage)
    names = [ask(stage, "Retry"), ask(stage, "Retry")]
    await asyncio.sleep(3)
    assert sorted(accepted(stage, name) for name in names) == [("False", "RunActive"), ("True", "Accepted")]
    assert stage.status()["epoch"] == 2


async def test_a_run_that_goes_on_is_not_retried(stage: Stage) -> None:
    await stage.begin()
    stage.apply(chain())
    await asyncio.sleep(1)
    name = ask(stage, "Retry")
    await asyncio.sleep(1)
    assert accepted(stage, name) == ("False", "RunActive")
    assert stage.status()["actions"][0]["accepted"] is False


async def test_retries_follow_one_another_for_as_long_as_it_takes(stage: Stage) -> None:
    await failed(stage)
    for number in range(2, 6):
        ask(stage, "Retry")
        await asyncio.sleep(2)
        stage.ends(stage.pod("a", number), code=1)
        await asyncio.sleep(3)
        assert stage.status()["phase"] == "Failed"
    assert stage.status()["epoch"] == 5
    assert len(stage.status()["tasks"][0]["attempts"]) == 5


async def test_a_retry_resets_the_time_to_live(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a") | {"ttlSecondsAfterFinished": 60})
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"), code=1)
    await asyncio.sleep(50)
    ask(stage, "Retry")
    await asyncio.sleep(100)
    assert stage.status()["phase"] == "Running"
    stage.ends(stage.pod("a", 2))
    await asyncio.sleep(50)
    assert stage.status()["phase"] == "Succeeded"
    await asyncio.sleep(20)
    assert "daily" not in stage.api.of(WORKFLOWS)


# -- clear and mark


async def test_cleared_tasks_run_again_however_they_ended(stage: Stage) -> None:
    await failed(stage)
    name = ask(stage, "Clear", tasks=["c"])
    await asyncio.sleep(2)
    assert accepted(stage, name) == ("True", "Accepted")
    assert stage.phases() == {"a": "Failed", "b": "UpstreamFailed", "c": "Starting"}
    stage.ends(stage.pod("c", 2))
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Failed"


async def test_what_depends_on_a_marked_task_is_looked_at_again(stage: Stage) -> None:
    await failed(stage)
    name = ask(stage, "Mark", tasks=["a"], phase="Succeeded", reason="loaded by hand")
    await asyncio.sleep(2)
    assert accepted(stage, name) == ("True", "Accepted")
    assert stage.phases() == {"a": "Succeeded", "b": "Starting", "c": "Succeeded"}
    [a, *_] = stage.status()["tasks"]
    assert (a["reason"], a["message"]) == ("Marked", "marked by ann: loaded by hand")
    stage.ends(stage.pod("b"))
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Succeeded"


async def test_a_mark_that_ends_the_run_at_once_is_an_end_of_its_own(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"), code=1)
    await asyncio.sleep(3)
    name = ask(stage, "Mark", tasks=["a"], phase="Succeeded")
    await asyncio.sleep(3)
    assert accepted(stage, name) == ("True", "Accepted")
    assert (stage.status()["phase"], stage.status()["epoch"]) == ("Succeeded", 2)
    assert stage.operator.controller.active == {}


# -- stop


async def test_a_cancelled_run_is_over_once_no_pod_is_left(stage: Stage) -> None:
    await stage.begin()
    stage.apply(chain())
    await asyncio.sleep(1)
    for pod in stage.pods():
        stage.runs(pod)
    name = ask(stage, "Stop", mode="Cancel")
    await asyncio.sleep(2)
    assert accepted(stage, name) == ("True", "Accepted")
    assert stage.status()["stop"] == {"mode": "Cancel", "reason": "Cancelled"}
    assert all(stage.is_ending(pod) for pod in stage.pods())
    assert stage.condition("Finished")["status"] == "False"
    for pod in list(stage.pods()):
        stage.ends(pod, code=143)
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Cancelled"
    assert set(stage.phases().values()) == {"Cancelled"}


async def test_a_stop_survives_a_crash(stage: Stage) -> None:
    await stage.begin()
    stage.apply(chain())
    await asyncio.sleep(1)
    ask(stage, "Stop", mode="Graceful")
    await asyncio.sleep(1)
    await stage.restart()
    stage.ends(stage.pod("a"))
    stage.ends(stage.pod("c"))
    await asyncio.sleep(3)
    assert stage.phases() == {"a": "Succeeded", "b": "Cancelled", "c": "Succeeded"}
    assert stage.status()["phase"] == "Cancelled"


async def test_a_stopped_run_can_be_retried(stage: Stage) -> None:
    await stage.begin()
    stage.apply(chain())
    await asyncio.sleep(1)
    ask(stage, "Stop", mode="Graceful")
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"))
    stage.ends(stage.pod("c"))
    await asyncio.sleep(3)
    name = ask(stage, "Retry")
    await asyncio.sleep(2)
    assert accepted(stage, name) == ("True", "Accepted")
    assert "stop" not in stage.status()
    await stage.restart()
    await asyncio.sleep(2)
    stage.ends(stage.pod("b"))
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.api.count("create", PODS) == 3


async def test_a_run_that_is_over_is_not_stopped(stage: Stage) -> None:
    await failed(stage)
    before = stage.status()
    name = ask(stage, "Stop", mode="Cancel")
    await asyncio.sleep(3)
    assert accepted(stage, name) == ("False", "RunFinished")
    unchanged = {"phase", "message", "completionTime", "conditions", "tasks", "counts"}
    assert {key: stage.status()[key] for key in unchanged} == {key: before[key] for key in unchanged}


async def test_a_request_that_comes_to_nothing_takes_no_results_from_a_run_that_is_over(stage: Stage) -> None:
    await stage.begin()
    stage.apply({**tasks("a"), "outputs": [{"name": "answer", "value": "${6 * 7}"}]})
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(3)
    name = ask(stage, "Retry")
    await asyncio.sleep(3)
    assert accepted(stage, name) == ("False", "NothingToRetry")
    assert stage.status()["outputs"] == {"answer": 42}


# -- approvals


def approval(**fields: Any) -> JsonObject:
    """The task b comes after the approval a."""
    return {"tasks": [{"name": "a", "approval": {"message": "go?", **fields}}, *tasks("b", needs=["a"])["tasks"]]}


async def waiting(stage: Stage, spec: JsonObject) -> None:
    await stage.begin()
    stage.apply(spec)
    await asyncio.sleep(2)
    assert stage.phases() == {"a": "Running", "b": "Waiting"}


async def test_what_was_approved_goes_on_and_hands_on_the_answer(stage: Stage) -> None:
    await waiting(stage, approval(options=["full", "canary"], form=[{"name": "percent", "type": "integer"}]))
    [a, _] = stage.status()["tasks"]
    assert a["reason"] == "WaitingForApproval"
    wrong = ask(stage, "Approve", tasks=["a"], values={"option": "all", "percent": 1})
    await asyncio.sleep(1)
    assert accepted(stage, wrong) == ("False", "InvalidValues")
    right = ask(stage, "Approve", tasks=["a"], values={"option": "canary", "percent": 10})
    await asyncio.sleep(2)
    assert accepted(stage, right) == ("True", "Accepted")
    assert stage.phases() == {"a": "Succeeded", "b": "Starting"}
    [a, _] = stage.status()["tasks"]
    assert a["outputs"] == {"percent": 10, "option": "canary", "by": "ann", "at": "2026-11-22T08:00:03Z"}


async def test_what_was_rejected_fails_and_is_not_asked_again(stage: Stage) -> None:
    await waiting(stage, approval())
    ask(stage, "Reject", tasks=["a"], reason="too late")
    await asyncio.sleep(3)
    assert stage.phases() == {"a": "Failed", "b": "UpstreamFailed"}
    [a, _] = stage.status()["tasks"]
    assert (a["reason"], a["message"]) == ("Rejected", "rejected by ann: too late")


async def test_an_approval_for_some_takes_an_identity_that_was_checked(stage: Stage) -> None:
    await waiting(stage, approval(users=["ann"]))
    name = ask(stage, "Approve", tasks=["a"])
    await asyncio.sleep(1)
    assert accepted(stage, name) == ("False", "IdentityNotVerified")
    install_policy(stage)
    await asyncio.sleep(100)
    early, late = ask(stage, "Approve", tasks=["a"]), ask(stage, "Approve", tasks=["a"])
    stage.api.edit(WORKFLOWACTIONS, early, lambda raw: raw["metadata"].update(creationTimestamp="2026-11-22T08:00:01Z"))
    await asyncio.sleep(1)
    assert accepted(stage, early) == ("False", "IdentityNotVerified")
    assert accepted(stage, late) == ("True", "Accepted")


async def test_nobody_else_may_answer_it(stage: Stage) -> None:
    install_policy(stage)
    await waiting(stage, approval(users=["bob"], groups=["leads"]))
    await asyncio.sleep(60)
    stranger = ask(stage, "Approve", tasks=["a"])
    await asyncio.sleep(1)
    assert accepted(stage, stranger) == ("False", "NotAllowed")
    lead = ask(stage, "Approve", tasks=["a"], requestedBy={"username": "ann", "groups": ["leads"]})
    await asyncio.sleep(1)
    assert accepted(stage, lead) == ("True", "Accepted")


async def test_an_answer_that_comes_twice_is_taken_once(stage: Stage) -> None:
    await waiting(stage, approval())
    first, second = ask(stage, "Approve", tasks=["a"]), ask(stage, "Reject", tasks=["a"])
    await asyncio.sleep(2)
    assert sorted(accepted(stage, name) for name in (first, second)) == [("False", "NotWaiting"), ("True", "Accepted")]


def install_policy(stage: Stage) -> None:
    expression = "object.spec.requestedBy.username == request.userInfo.username"
    specs: dict[Resource, JsonObject] = {
        ADMISSION_POLICIES: {"validations": [{"expression": expression}]},
        ADMISSION_POLICY_BINDINGS: {"policyName": POLICY, "validationActions": ["Deny"]},
    }
    for resource, spec in specs.items():
        stage.api.put(resource, {"metadata": {"name": POLICY}, "spec": spec})


# -- callbacks


CALLBACK: JsonObject = {
    "tasks": [
        {"name": "a", "wait": {"callback": True}, "outputs": [{"name": "rows", "type": "integer"}]},
        *tasks("b", needs=["a"])["tasks"],
    ]
}


async def test_a_callback_is_completed_by_the_token_of_its_attempt(stage: Stage) -> None:
    await waiting(stage, CALLBACK)
    token = stage.status()["tasks"][0]["attempts"][0]["podName"]
    names = [
        ask(stage, "Complete", tasks=["a"], token="of-another", values={"rows": 1}),
        ask(stage, "Complete", tasks=["a"], token=token, values={"rows": "many"}),
        ask(stage, "Heartbeat", tasks=["a"], token=token),
        ask(stage, "Complete", tasks=["a"], token=token, values={"rows": 3}),
    ]
    await asyncio.sleep(3)
    assert [accepted(stage, name) for name in names] == [
        ("False", "StaleToken"),
        ("False", "InvalidValues"),
        ("True", "Accepted"),
        ("True", "Accepted"),
    ]
    assert stage.phases() == {"a": "Succeeded", "b": "Starting"}
    assert stage.status()["tasks"][0]["outputs"] == {"rows": 3}


async def test_a_wait_that_was_answered_while_no_operator_was_there_goes_on(stage: Stage) -> None:
    await waiting(stage, CALLBACK)
    token = stage.status()["tasks"][0]["attempts"][0]["podName"]
    await stage.crash()
    ask(stage, "Complete", tasks=["a"], token=token, values={"rows": 3})
    await stage.restart()
    await asyncio.sleep(2)
    assert stage.phases() == {"a": "Succeeded", "b": "Starting"}


# -- what is not there


async def test_a_task_that_is_not_there_is_named(stage: Stage) -> None:
    await failed(stage)
    name = ask(stage, "Clear", tasks=["nothing"])
    await asyncio.sleep(3)
    assert accepted(stage, name) == ("False", "NoSuchTask")
    assert stage.operator.controller.active == {}
