"""What the probes say: whether the operator hears the API server, and whether its own loops go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
from tests.unit.controllers.fake_api import Stage, looptime, tasks

from fairlead.controllers.vitals import live_checks, ready_checks
from fairlead.kube.errors import ServerError
from fairlead.kube.resources import WORKFLOWS

pytestmark = looptime

BROKEN = ServerError(500, "InternalError", "etcd is away")


def problems(checks: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """The checks that are not content, and what they say."""
    return {name: said for name, check in checks.items() if (said := check())}


async def ready(stage: Stage) -> None:
    """An operator that has come up."""
    await stage.begin()
    stage.operator.waiting_for = ""
    await asyncio.sleep(1)


def silent_for(stage: Stage, watch: str, seconds: float) -> None:
    """Nothing moves in one of the watches for so long, as the probes see it."""
    now = asyncio.get_running_loop().time()
    stage.operator.caches[watch]._heard_at = stage.operator.caches[watch]._moved_at = now - seconds


async def test_all_is_well(stage: Stage) -> None:
    await ready(stage)
    assert problems(ready_checks(stage.operator)) == {}
    assert problems(live_checks(stage.operator)) == {}


async def test_it_is_not_ready_before_it_has_come_up(stage: Stage) -> None:
    assert problems(ready_checks(stage.operator))["start"] == "starting"


@pytest.mark.parametrize("watch", ["pods", "jobs", "workflowactions", "workflowtemplates"])
async def test_a_watch_that_has_not_been_heard_for_long_makes_it_unready(stage: Stage, watch: str) -> None:
    await ready(stage)
    silent_for(stage, watch, 130)
    assert problems(ready_checks(stage.operator)) == {f"{watch}-watch": "nothing heard from the API server for 130 s"}
    assert problems(live_checks(stage.operator)) == {}


async def test_a_minute_of_silence_is_nothing_special(stage: Stage) -> None:
    await ready(stage)
    silent_for(stage, "pods", 100)
    assert problems(ready_checks(stage.operator)) == {}


async def test_a_watch_whose_loop_hangs_makes_it_dead(stage: Stage) -> None:
    await ready(stage)
    silent_for(stage, "pods", 200)
    assert problems(live_checks(stage.operator)) == {"pods-loop": "the watch loop has not come round for 200 s"}


async def test_a_watch_that_says_what_is_wrong_makes_it_unready(stage: Stage) -> None:
    await ready(stage)
    stage.operator.caches["pods"].last_error = "not allowed to list and watch pods"
    assert problems(ready_checks(stage.operator)) == {"pods-watch": "not allowed to list and watch pods"}


async def test_workflows_that_cannot_be_read_make_it_unready_until_they_can(stage: Stage) -> None:
    await ready(stage)
    broken = stage.api.fail(BROKEN, "list", WORKFLOWS)
    await asyncio.sleep(61)
    assert "workflows" in problems(ready_checks(stage.operator))
    broken.lift()
    await asyncio.sleep(61)
    assert "workflows" not in problems(ready_checks(stage.operator))


async def test_a_sweep_that_hangs_makes_it_dead(stage: Stage) -> None:
    await ready(stage)
    stage.apply(tasks("a"))
    stage.api.hold("list", WORKFLOWS)
    await asyncio.sleep(200)
    assert "sweep" not in problems(live_checks(stage.operator))
    await asyncio.sleep(80)
    assert "sweep" in problems(live_checks(stage.operator))
