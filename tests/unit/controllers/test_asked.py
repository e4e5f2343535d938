"""What users have asked of a run survives a restart by way of its status."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.controllers.fake_api import T0

from fairlead.api.status import MAX_ACTIONS, WorkflowStatus
from fairlead.controllers.asked import encode_asked, recorded_actions, recorded_epoch, recorded_stop
from fairlead.controllers.status import recorded_outcome
from fairlead.engine.graph import build
from fairlead.engine.model import ActionKind, StopMode
from fairlead.engine.plan import begin
from fairlead.engine.state import ActionRecord, RunState


@pytest.fixture
def run() -> RunState:
    return begin(build([]), uid="u", name="daily", namespace="ns", started_at=T0)


def asked(number: int, **more: Any) -> ActionRecord:
    given = {"action": ActionKind.RETRY, "by": "ann", "at": T0 + timedelta(seconds=number), "accepted": True}
    return ActionRecord(**{"uid": f"u{number}", "name": f"n{number}", "reason": "Accepted", **given, **more})


def test_a_run_of_which_nothing_was_asked_says_nothing(run: RunState) -> None:
    assert encode_asked(run) == {}
    assert (recorded_epoch({}), recorded_actions({}), recorded_stop({})) == ((1, None), [], ("", None))


def test_everything_comes_back(run: RunState) -> None:
    run.epoch, run.epoch_at = 3, T0
    run.actions = [asked(1), asked(2, accepted=False, action=ActionKind.STOP, reason="NotRunning", message="m")]
    run.stopping, run.stop_mode = "Cancelled", StopMode.CANCEL
    status = encode_asked(run)
    assert recorded_epoch(status) == (3, T0)
    assert recorded_actions(status) == run.actions
    assert recorded_stop(status) == ("Cancelled", StopMode.CANCEL)


def test_a_stop_that_nobody_asked_for_has_no_mode(run: RunState) -> None:
    run.stopping = "RunDeadlineExceeded"
    assert recorded_stop(encode_asked(run)) == ("RunDeadlineExceeded", None)


def test_the_last_requests_are_kept(run: RunState) -> None:
    run.actions = [asked(number) for number in range(MAX_ACTIONS + 1)]
    kept = recorded_actions(encode_asked(run))
    assert [kept[0].uid, kept[-1].uid, len(kept)] == ["u1", f"u{MAX_ACTIONS}", MAX_ACTIONS]


def test_it_is_what_the_schema_has_room_for(run: RunState) -> None:
    run.epoch, run.actions, run.stopping = 2, [asked(1, by="", message="m" * 100_000)], "Stopped"
    WorkflowStatus.model_validate_json(json.dumps(encode_asked(run)))


def test_a_request_that_only_a_newer_release_knows_is_left_out(run: RunState) -> None:
    run.actions = [asked(1), asked(2)]
    status = encode_asked(run)
    status["actions"][0]["action"] = "Rewind"
    assert [each.uid for each in recorded_actions(status)] == ["u2"]


@pytest.mark.parametrize(("verdict", "phase"), [("True", "Succeeded"), ("False", "Failed"), ("False", "Cancelled")])
def test_the_end_of_a_run_comes_back(verdict: str, phase: str) -> None:
    conditions = [
        {"type": "Succeeded", "status": verdict, "reason": "Why", "message": "m", "lastTransitionTime": "x"},
        {"type": "Finished", "status": "True", "reason": "Why", "message": "m", "lastTransitionTime": "x"},
    ]
    outcome = recorded_outcome({"phase": phase, "completionTime": "2026-11-22T08:00:00Z", "conditions": conditions})
    assert outcome is not None
    assert (outcome.succeeded, outcome.cancelled) == (verdict == "True", phase == "Cancelled")
    assert (outcome.reason, outcome.message, outcome.finished_at) == ("Why", "m", T0)


def test_a_run_that_goes_on_has_no_end() -> None:
    assert recorded_outcome({"phase": "Running", "conditions": [{"type": "Finished", "status": "False"}]}) is None
