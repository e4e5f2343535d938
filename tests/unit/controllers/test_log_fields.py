"""Log lines about a run say whose they are: in fields of their own, for machines, and without what tasks print."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from tests.unit.controllers.fake_api import NAMESPACE, Stage, looptime, tasks

from fairlead.kube.errors import Invalid
from fairlead.kube.resources import PODS
from fairlead.telemetry.logs import JsonFormatter

pytestmark = looptime


def lines(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, Any]]:
    formatter = JsonFormatter()
    found = (json.loads(formatter.format(record)) for record in caplog.records if record.name.startswith("fairlead"))
    return [each for each in found if each["message"].startswith(message)]


@pytest.fixture(autouse=True)
def listens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "fairlead")


async def test_a_run_is_logged_from_its_start_to_its_end(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(3)
    run = {"workflow": "daily", "namespace": NAMESPACE}
    for message in ("Started", "Succeeded"):
        [line] = lines(caplog, message)
        assert (line["level"], {key: line[key] for key in run}) == ("info", run)
    attempt = {**run, "task": "a", "attempt": 1}
    for message in ("creating ", "the attempt is on record"):
        line = lines(caplog, message)[0]
        assert (line["level"], {key: line[key] for key in attempt}) == ("debug", attempt)


async def test_a_failure_names_the_task_and_not_what_it_printed(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    terminated = {"exitCode": 1, "finishedAt": "2026-11-22T08:00:01Z", "message": "token=hunter2"}
    stage.set_status(stage.pod("a"), "Failed", {"terminated": terminated})
    await asyncio.sleep(3)
    [line] = lines(caplog, "TaskFailed")
    assert (line["level"], line["workflow"], line["task"]) == ("info", "daily", "a")
    assert "hunter2" in json.dumps(stage.status())
    assert "hunter2" not in caplog.text


async def test_what_goes_wrong_with_an_attempt_names_it(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.api.fail(Invalid(422, "Invalid", "no"), "create", PODS)
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(3)
    line = lines(caplog, "cannot create")[0]
    assert {key: line[key] for key in ("workflow", "namespace", "task", "attempt")} == {
        "workflow": "daily",
        "namespace": NAMESPACE,
        "task": "a",
        "attempt": 1,
    }


async def test_a_run_that_cannot_be_reconciled_is_named(
    stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("a bug")

    await stage.begin()
    monkeypatch.setattr("fairlead.controllers.workflow.plan", broken)
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    line = lines(caplog, "cannot reconcile")[0]
    assert (line["workflow"], line["namespace"], "exception" in line) == ("daily", NAMESPACE, True)
