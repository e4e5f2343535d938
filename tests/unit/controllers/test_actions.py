"""Requests on a run: from a WorkflowAction to the engine and back, whatever fails in between.

What the engine makes of a request is not the matter here: a stand-in decides, and puts its verdict on record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from tests.unit.controllers.fake_api import NAMESPACE, Stage, looptime, tasks

from fairlead.controllers import workflow
from fairlead.controllers.actions import action_view
from fairlead.engine.events import UserAction
from fairlead.engine.state import ActionRecord, RunState
from fairlead.kube.errors import ApiError, Forbidden, ServerError
from fairlead.kube.resources import WORKFLOWACTIONS, WORKFLOWS
from fairlead.kube.transport import JsonObject

pytestmark = looptime

Decide = Callable[[RunState, UserAction], tuple[bool, str]]


class Engine:
    """Decides about requests in the place of the real one; `told` are those that it was told of, in their order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[UserAction] = []
        self.decide: Decide = lambda *_: (True, "Accepted")
        self._plan = workflow.plan
        monkeypatch.setattr(workflow, "plan", self.plan)

    def plan(self, graph: Any, run: RunState, events: Any, settings: Any, now: datetime, room: int) -> Any:
        asked = [each for each in events if isinstance(each, UserAction)]
        assert len(asked) <= 1, "one at a time"
        for each in asked:
            self.told.append(each)
            accepted, reason = self.decide(run, each)
            record = ActionRecord(
                uid=each.uid,
                name=each.name,
                action=each.kind,
                by=each.by,
                at=now,
                accepted=accepted,
                reason=reason,
                message="told so",
            )
            run.actions.append(record)
            run.revision += 1
        return self._plan(graph, run, [each for each in events if each not in asked], settings, now, room)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    return Engine(monkeypatch)


def ask(stage: Stage, name: str = "please", run: str = "daily", *, created: str = "", **spec: Any) -> str:
    """Create a WorkflowAction, to stop the run unless something else is said; returns its UID."""
    asked = {
        "workflowName": run,
        "workflowUID": "",
        "action": "Stop",
        "mode": "Cancel",
        "requestedBy": {"username": "ann"},
    }
    asked |= spec
    asked["workflowUID"] = asked["workflowUID"] or stage.uid(run)
    metadata = {"namespace": NAMESPACE, "name": name} | ({"creationTimestamp": created} if created else {})
    wanted = {key: value for key, value in asked.items() if value is not None}
    obj = {"apiVersion": WORKFLOWACTIONS.api_version, "kind": "WorkflowAction", "metadata": metadata, "spec": wanted}
    return str(stage.api.put(WORKFLOWACTIONS, obj)["metadata"]["uid"])


def action(stage: Stage, name: str = "please") -> JsonObject:
    return stage.api.of(WORKFLOWACTIONS)[name]


def answer(stage: Stage, name: str = "please") -> dict[str, tuple[str, str]]:
    """The conditions of an action: status and reason by type."""
    conditions = action(stage, name).get("status", {}).get("conditions", ())
    return {each["type"]: (each["status"], each["reason"]) for each in conditions}


def record(stage: Stage, run: str = "daily") -> list[str]:
    """The names of the actions on the run's record."""
    return [each["name"] for each in stage.status(run).get("actions", ())]


async def running(stage: Stage, **spec: Any) -> None:
    await stage.begin()
    stage.apply(tasks("a", "b") | spec)
    await asyncio.sleep(2)


async def finished(stage: Stage, **spec: Any) -> None:
    await running(stage, **spec)
    for pod in stage.pods():
        stage.ends(pod, code=1)
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Failed"
    assert stage.operator.controller.active == {}


# -- there and back


async def test_the_engine_is_told_and_its_verdict_is_on_the_run_and_on_the_action(stage: Stage, engine: Engine) -> None:
    await running(stage)
    uid = ask(stage)
    await asyncio.sleep(1)
    assert [(each.uid, each.name, each.kind, each.mode, each.by) for each in engine.told] == [
        (uid, "please", "Stop", "Cancel", "ann")
    ]
    assert stage.status()["actions"] == [
        {
            "uid": uid,
            "name": "please",
            "action": "Stop",
            "by": "ann",
            "time": "2026-11-22T08:00:02Z",
            "accepted": True,
            "reason": "Accepted",
            "message": "told so",
        }
    ]
    assert answer(stage) == {
        "Accepted": ("True", "Accepted"),
        "Completed": ("True", "Accepted"),
        "Stalled": ("False", "Accepted"),
    }


async def test_a_refusal_is_told_with_its_reason(stage: Stage, engine: Engine) -> None:
    await running(stage)
    engine.decide = lambda *_: (False, "NotFinished")
    ask(stage)
    await asyncio.sleep(1)
    assert answer(stage) == {
        "Accepted": ("False", "NotFinished"),
        "Completed": ("True", "NotFinished"),
        "Stalled": ("True", "NotFinished"),
    }
    [accepted, *_] = action(stage)["status"]["conditions"]
    assert accepted["message"] == "told so"


async def test_an_action_goes_with_its_run_and_keeps_other_owners_and_conditions(stage: Stage, engine: Engine) -> None:
    await running(stage)
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "other"}
    hold = stage.api.hold("patch", WORKFLOWS)
    ask(stage)

    def add(raw: JsonObject) -> None:
        raw["metadata"]["ownerReferences"] = [other]
        raw["status"] = {"conditions": [{"type": "Seen", "status": "True", "reason": "Mine"}]}

    stage.api.edit(WORKFLOWACTIONS, "please", add)
    hold.lift()
    await asyncio.sleep(2)
    owner = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "Workflow", "name": "daily", "uid": stage.uid()}
    assert action(stage)["metadata"]["ownerReferences"] == [other, owner]
    assert answer(stage)["Seen"] == ("True", "Mine")


async def test_what_has_been_answered_is_left_alone(stage: Stage, engine: Engine) -> None:
    await running(stage)
    ask(stage)
    await asyncio.sleep(1)
    asked = stage.api.count("patch", WORKFLOWACTIONS)
    await asyncio.sleep(200)
    await stage.restart()
    await asyncio.sleep(100)
    assert stage.api.count("patch", WORKFLOWACTIONS) == asked == 2
    assert len(engine.told) == 1


# -- order


async def test_requests_take_effect_one_at_a_time_in_the_order_of_their_making(stage: Stage, engine: Engine) -> None:
    await running(stage)
    await stage.crash()
    ask(stage, "third", created="2026-11-22T08:00:09Z")
    ask(stage, "second", created="2026-11-22T08:00:05Z")  # made in the same second as the next, with a smaller UID
    ask(stage, "twin", created="2026-11-22T08:00:05Z")
    ask(stage, "first", created="2026-11-22T08:00:04Z")
    await stage.restart()
    await asyncio.sleep(2)
    assert [each.name for each in engine.told] == ["first", "second", "twin", "third"]
    assert record(stage) == ["first", "second", "twin", "third"]
    assert all(answer(stage, name)["Accepted"] == ("True", "Accepted") for name in record(stage))


async def test_two_at_once_are_both_decided_and_both_answered(stage: Stage, engine: Engine) -> None:
    await running(stage)
    engine.decide = lambda run, _: (not run.actions, "Once")
    ask(stage, "one")
    ask(stage, "two")
    await asyncio.sleep(2)
    assert answer(stage, "one")["Accepted"] == ("True", "Once")
    assert answer(stage, "two")["Accepted"] == ("False", "Once")


async def test_no_more_are_taken_than_the_record_keeps_while_they_cannot_be_answered(
    stage: Stage, engine: Engine
) -> None:
    await running(stage)
    refusal = stage.api.fail(Forbidden(403, "Forbidden", "no"), "patch", WORKFLOWACTIONS)
    for number in range(120):
        ask(stage, f"n{number}")
    await asyncio.sleep(10)
    assert len(engine.told) == 50
    refusal.lift()
    await asyncio.sleep(120)
    assert len(engine.told) == 120
    assert len(stage.status()["actions"]) == 100
    assert all(answer(stage, f"n{number}")["Accepted"] == ("True", "Accepted") for number in range(120))


async def test_a_run_that_is_over_is_not_looked_at_without_end_while_they_cannot_be_answered(
    stage: Stage, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finished(stage)
    looked = 0
    reconcile = stage.operator.controller.reconcile

    async def counted(uid: str) -> float | None:
        nonlocal looked
        looked += 1
        assert looked < 5_000, "it goes round and round"
        return await reconcile(uid)

    monkeypatch.setattr(stage.operator.controller, "reconcile", counted)
    refusal = stage.api.fail(Forbidden(403, "Forbidden", "no"), "patch", WORKFLOWACTIONS)
    for number in range(120):
        ask(stage, f"n{number}")
    await asyncio.sleep(60)
    assert looked < 1_000
    refusal.lift()
    await asyncio.sleep(200)
    assert all(answer(stage, f"n{number}")["Accepted"] == ("True", "Accepted") for number in range(120))


# -- crashes


async def test_a_crash_before_the_effect_is_on_record_loses_nothing(stage: Stage, engine: Engine) -> None:
    await running(stage)
    stage.api.hold("patch", WORKFLOWS)
    ask(stage)
    await asyncio.sleep(1)
    assert len(engine.told) == 1
    await stage.crash()
    stage.api.refusals.clear()
    assert answer(stage) == {}
    await stage.restart()
    await asyncio.sleep(2)
    assert len(engine.told) == 2  # the first decision was not durable, so it was none
    assert record(stage) == ["please"]
    assert answer(stage)["Accepted"] == ("True", "Accepted")


async def test_a_crash_between_the_effect_and_the_answer_does_not_repeat_the_effect(
    stage: Stage, engine: Engine
) -> None:
    await running(stage)
    stage.api.hold("patch", WORKFLOWACTIONS)
    ask(stage)
    await asyncio.sleep(1)
    assert (record(stage), answer(stage)) == (["please"], {})
    await stage.crash()
    stage.api.refusals.clear()
    await stage.restart()
    await asyncio.sleep(2)
    assert len(engine.told) == 1
    assert answer(stage)["Accepted"] == ("True", "Accepted")


async def test_an_answer_that_somebody_took_away_is_given_again(stage: Stage, engine: Engine) -> None:
    await running(stage)
    ask(stage)
    await asyncio.sleep(1)
    stage.api.edit(WORKFLOWACTIONS, "please", lambda raw: raw.pop("status"))
    await asyncio.sleep(1)
    assert answer(stage)["Accepted"] == ("True", "Accepted")
    assert len(engine.told) == 1


async def test_the_answer_waits_for_the_record(stage: Stage, engine: Engine) -> None:
    await running(stage)
    writing = stage.api.hold("patch", WORKFLOWS)
    ask(stage)
    await asyncio.sleep(5)
    assert len(engine.told) == 1
    assert answer(stage) == {}
    writing.lift()
    await asyncio.sleep(1)
    assert answer(stage)["Accepted"] == ("True", "Accepted")


async def test_an_answer_is_repeated_through_an_outage(stage: Stage, engine: Engine) -> None:
    await running(stage)
    outage = stage.api.fail(ServerError(503, "ServiceUnavailable", "away"), "patch", WORKFLOWACTIONS)
    ask(stage)
    await asyncio.sleep(60)
    assert answer(stage) == {}
    outage.lift()
    await asyncio.sleep(60)
    assert answer(stage)["Accepted"] == ("True", "Accepted")
    assert len(engine.told) == 1


async def test_an_action_that_is_deleted_before_its_turn_was_not_asked(stage: Stage, engine: Engine) -> None:
    await running(stage)
    await stage.crash()
    ask(stage)
    stage.api.drop(WORKFLOWACTIONS, "please")
    await stage.restart()
    await asyncio.sleep(2)
    assert engine.told == []


async def test_a_verdict_never_goes_to_another_request_of_the_same_name(stage: Stage, engine: Engine) -> None:
    await running(stage)
    engine.decide = lambda _, asked: (asked.kind == "Stop", "Decided")
    answering = stage.api.hold("patch", WORKFLOWACTIONS)
    ask(stage)
    await asyncio.sleep(1)
    stage.api.drop(WORKFLOWACTIONS, "please")
    ask(stage, action="Retry", mode=None)
    answering.lift()
    await asyncio.sleep(5)
    assert [each.kind for each in engine.told] == ["Stop", "Retry"]
    assert answer(stage)["Accepted"] == ("False", "Decided")


# -- requests that reach no run


async def test_the_uid_of_an_earlier_run_of_that_name_is_stale(stage: Stage, engine: Engine) -> None:
    await running(stage)
    ask(stage, workflowUID="uid-of-yesterday")
    await asyncio.sleep(1)
    assert answer(stage)["Accepted"] == ("False", "StaleUID")
    assert engine.told == []
    assert record(stage) == []
    assert "ownerReferences" not in action(stage)["metadata"]


async def test_there_may_be_no_such_run(stage: Stage, engine: Engine) -> None:
    await running(stage)
    ask(stage, workflowName="nobody", workflowUID="u")
    await asyncio.sleep(1)
    assert answer(stage)["Accepted"] == ("False", "NoSuchRun")


async def test_the_uid_alone_gives_no_right_to_the_run_of_another_name(stage: Stage, engine: Engine) -> None:
    await running(stage)
    ask(stage, workflowName="mine")
    await asyncio.sleep(1)
    assert answer(stage)["Accepted"] == ("False", "NoSuchRun")
    assert engine.told == []


async def test_nor_to_a_run_in_another_namespace(stage: Stage, engine: Engine) -> None:
    await running(stage)
    uid = stage.uid()
    metadata = {"namespace": "elsewhere", "name": "please"}
    spec = {"workflowName": "daily", "workflowUID": uid, "action": "Stop", "mode": "Terminate"}
    stage.api.put(WORKFLOWACTIONS, {"metadata": metadata, "spec": spec})
    await asyncio.sleep(1)
    assert answer(stage)["Accepted"] == ("False", "NoSuchRun")
    assert engine.told == []
    assert "ownerReferences" not in action(stage)["metadata"]


async def test_a_request_that_means_nothing_is_refused_with_what_is_wrong(stage: Stage, engine: Engine) -> None:
    await running(stage)
    ask(stage, mode=None)
    ask(stage, "unknown", action="Explode", mode=None)
    await asyncio.sleep(1)
    for name in ("please", "unknown"):
        assert answer(stage, name)["Accepted"] == ("False", "InvalidRequest")
    assert "spec.mode: is required for Stop" in action(stage)["status"]["conditions"][0]["message"]
    assert action(stage)["metadata"]["ownerReferences"][0]["uid"] == stage.uid()  # collected with the run
    assert engine.told == []


async def test_a_run_whose_watch_is_late_is_found(stage: Stage, engine: Engine) -> None:
    await stage.begin()
    stage.api.leave(stage.operator.workflow_event)
    stage.apply(tasks("a"))
    ask(stage)
    await asyncio.sleep(2)
    assert answer(stage)["Accepted"] == ("True", "Accepted")


async def test_a_definition_that_was_refused_cannot_be_run_again(stage: Stage, engine: Engine) -> None:
    await stage.begin()
    stage.apply(tasks("a", needs=["nobody"]))
    await asyncio.sleep(2)
    ask(stage, action="Retry", mode=None)
    await asyncio.sleep(2)
    assert answer(stage)["Accepted"] == ("False", "InvalidSpec")
    assert engine.told == []


async def test_nor_can_a_finished_run_whose_definition_a_newer_operator_refuses(stage: Stage, engine: Engine) -> None:
    await finished(stage)
    before = stage.status()
    await stage.crash()
    stage.respec(**tasks("a", needs=["nobody"]))
    ask(stage, action="Retry", mode=None)
    await stage.restart()
    await asyncio.sleep(2)
    assert answer(stage)["Accepted"] == ("False", "InvalidSpec")
    assert stage.condition("Finished")["status"] == "True"
    assert stage.status()["tasks"] == before["tasks"]


# -- runs that are over


def begin_again(run: RunState, _: UserAction) -> tuple[bool, str]:
    assert run.outcome is not None
    run.outcome = None
    run.epoch += 1
    return True, "Accepted"


async def test_a_finished_run_is_taken_up_again(stage: Stage, engine: Engine) -> None:
    await finished(stage)
    ended = stage.status()["completionTime"]
    await asyncio.sleep(30)
    engine.decide = begin_again
    ask(stage, action="Retry", mode=None)
    await asyncio.sleep(3)
    assert [each.kind for each in engine.told] == ["Retry"]
    assert stage.status()["epoch"] == 2
    assert stage.status()["completionTime"] > ended  # the stand-in runs nothing, so it was over again at once
    assert answer(stage)["Accepted"] == ("True", "Accepted")
    assert stage.operator.controller.active == {}


async def test_a_refused_request_on_a_finished_run_is_recorded_and_changes_nothing_else(
    stage: Stage, engine: Engine
) -> None:
    await finished(stage)
    before = stage.status()
    await asyncio.sleep(30)
    engine.decide = lambda *_: (False, "NothingToRetry")
    ask(stage, action="Retry", mode=None)
    await asyncio.sleep(3)
    after = stage.status()
    assert record(stage) == ["please"]
    assert answer(stage)["Accepted"] == ("False", "NothingToRetry")
    assert stage.operator.controller.active == {}
    assert {key: value for key, value in after.items() if key not in ("actions", "revision")} == {
        key: value for key, value in before.items() if key != "revision"
    }


async def test_both_of_two_requests_on_a_finished_run_are_answered(stage: Stage, engine: Engine) -> None:
    await finished(stage)
    engine.decide = lambda *_: (False, "NothingToRetry")
    for name in ("one", "two"):
        ask(stage, name, action="Retry", mode=None)
    await asyncio.sleep(3)
    assert record(stage) == ["one", "two"]
    assert all(answer(stage, name)["Accepted"] == ("False", "NothingToRetry") for name in ("one", "two"))


async def test_a_request_wins_against_the_end_of_the_time_to_live(stage: Stage, engine: Engine) -> None:
    await finished(stage, ttlSecondsAfterFinished=60)
    engine.decide = begin_again
    await asyncio.sleep(50)
    ask(stage, action="Retry", mode=None)
    await asyncio.sleep(20)
    assert "daily" in stage.api.of(WORKFLOWS)
    await asyncio.sleep(50)
    assert "daily" not in stage.api.of(WORKFLOWS)


async def test_a_run_that_went_on_is_counted_once_for_each_end(stage: Stage, engine: Engine) -> None:
    await finished(stage)
    counted = stage.operator.metrics.render
    engine.decide = begin_again
    ask(stage, action="Retry", mode=None)
    await asyncio.sleep(3)
    engine.decide = lambda *_: (False, "Refused")
    ask(stage, "again", action="Retry", mode=None)
    await asyncio.sleep(3)
    text = counted()[0].decode()
    assert 'fairlead_runs_finished_total{outcome="failed",reason="TaskFailed"} 2.0' in text
    assert 'fairlead_actions_total{action="Retry",result="accepted"} 1.0' in text
    assert 'fairlead_actions_total{action="Retry",result="refused"} 1.0' in text


# -- who asks


async def test_who_asks_is_not_believed_without_the_policy(stage: Stage, engine: Engine) -> None:
    await running(stage)
    ask(stage, requestedBy={"username": "ann", "groups": ["leads"]})
    await asyncio.sleep(1)
    [told] = engine.told
    assert (told.by, told.groups, told.verified) == ("ann", ("leads",), False)


async def test_a_request_waits_while_it_cannot_be_told_who_asks(
    stage: Stage, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fairlead.controllers.identity import IdentityCheck

    answers = iter([ApiError(503, "ServiceUnavailable", "away"), True])

    async def covers(*_: object) -> bool:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(IdentityCheck, "covers", covers)
    await running(stage)
    ask(stage)
    await asyncio.sleep(5)
    [told] = engine.told
    assert told.verified


# -- an engine that forgets


async def test_even_a_request_that_is_not_decided_is_answered(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    real = workflow.plan

    def deaf(graph: Any, run: Any, events: Any, settings: Any, now: Any, room: int) -> Any:
        return real(graph, run, [each for each in events if not isinstance(each, UserAction)], settings, now, room)

    monkeypatch.setattr(workflow, "plan", deaf)
    await running(stage)
    ask(stage)
    await asyncio.sleep(1)
    assert answer(stage)["Accepted"] == ("False", "InternalError")


# -- what is kept


def test_nothing_of_the_request_is_kept_once_it_is_answered() -> None:
    raw: JsonObject = {
        "metadata": {
            "uid": "u",
            "resourceVersion": "1",
            "creationTimestamp": "2026-11-22T08:00:00Z",
            "ownerReferences": [{"uid": "r"}],
        },
        "spec": {"workflowName": "daily", "workflowUID": "r", "action": "Stop", "mode": "Cancel"},
    }
    assert action_view(raw).spec
    raw["status"] = {"conditions": [{"type": "Accepted"}, {"type": "Completed"}]}
    view = action_view(raw)
    assert (view.spec, view.is_settled) == (b"", True)
