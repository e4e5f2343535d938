"""Requests and waits for a condition in a whole operator: recorded before they begin, and through its restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.controllers.errand_kit import expression
from tests.unit.controllers.fake_api import NAMESPACE, T0, Refusal, Stage, looptime

from fairlead.api.compile import Compiled
from fairlead.controllers import runtime, workflow
from fairlead.egress.request import IDEMPOTENT, SecretReader
from fairlead.engine import graph
from fairlead.engine.model import (
    Backoff,
    Clocks,
    FailureClass,
    Jitter,
    Node,
    OutputDeclaration,
    RetryPolicy,
    Scope,
    Settings,
    ValueType,
    WorkKind,
)
from fairlead.engine.state import Outcome, Result
from fairlead.kube.resources import CONFIGMAPS, WORKFLOWS

pytestmark = looptime


@dataclass(frozen=True)
class Work:
    kind: WorkKind
    rendered: Any

    def evaluate(self, scope: Scope) -> Any:
        return dict(self.rendered)


@dataclass
class Server:
    """Where requests go: each is answered after a second, unless `silent`."""

    arrived: list[str] = field(default_factory=list)
    silent: bool = False
    status: int = 200

    async def send(self, work: Any, *, key: str, resumed: bool, read_secret: SecretReader) -> Outcome:
        now = T0 + timedelta(seconds=asyncio.get_running_loop().time())
        if resumed and work["method"] not in IDEMPOTENT:
            return Outcome(
                result=Result.FAILED, finished_at=now, failure_class=FailureClass.USER, reason="OutcomeUnknown"
            )
        self.arrived.append(key)
        await (asyncio.Event().wait() if self.silent else asyncio.sleep(1))
        if self.status == 200:
            return Outcome(result=Result.SUCCEEDED, finished_at=now, values={"id": len(self.arrived)})
        return Outcome(result=Result.FAILED, finished_at=now, failure_class=FailureClass.USER, reason="HttpStatus")

    async def close(self) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    found = Server()
    monkeypatch.setattr(runtime, "Sender", lambda _: found)
    return found


@pytest.fixture
async def stage(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    found = Stage(monkeypatch)
    yield found
    await found.crash()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let every Workflow compile to these nodes."""

    def define(*nodes: Node) -> None:
        def compile_workflow(spec: Any, *, name: str, namespace: str, **_: Any) -> Compiled:
            settings = Settings(suspend=bool(spec.get("suspend")))
            return Compiled(name=name, namespace=namespace, graph=graph.build(nodes), settings=settings)

        monkeypatch.setattr(workflow, "compile_workflow", compile_workflow)

    return define


RETRY = RetryPolicy(limit=3, backoff=Backoff(initial_seconds=1, jitter=Jitter.NONE))


def request(name: str = "call", method: str = "POST", **more: Any) -> Node:
    work = {"method": method, "idempotent": False, "headers": []}
    outputs = (OutputDeclaration(name="id", type=ValueType.INTEGER),)
    return Node(name=name, work=Work(WorkKind.HTTP, work), outputs=outputs, **more)


def wait(name: str = "flag", **more: Any) -> Node:
    when = expression("object.data.ready == 'yes'", "object")
    condition = {"apiVersion": "v1", "kind": "ConfigMap", "name": "flag", "when": when, "intervalSeconds": 10}
    work = {"seconds": None, "until": None, "condition": condition, "callback": None, "heartbeatSeconds": None}
    return Node(name=name, work=Work(WorkKind.WAIT, work), **more)


async def recording_starts(stage: Stage) -> Refusal:
    """Begin a run, and hold up the write that puts the starts of its tasks on record. Returns what lets it go on."""
    await stage.begin()
    stage.apply({"tasks": [], "suspend": True})
    await asyncio.sleep(5)  # that the run has begun is on record
    held = stage.api.hold("patch", WORKFLOWS)
    stage.respec(suspend=False)
    return held


def task(stage: Stage, name: str) -> dict[str, Any]:
    return next(each for each in stage.status()["tasks"] if each["name"] == name)


class TestRequests:
    async def test_one_that_succeeds(self, stage: Stage, server: Server, run: Any) -> None:
        run(request())
        await stage.begin()
        stage.apply({"tasks": []})
        await asyncio.sleep(5)
        assert stage.status()["phase"] == "Succeeded"
        assert task(stage, "call")["outputs"] == {"id": 1}
        assert len(stage.operator.errands) == 0

    async def test_its_start_is_on_record_before_it_is_sent(self, stage: Stage, server: Server, run: Any) -> None:
        run(request())
        recording = await recording_starts(stage)
        await asyncio.sleep(5)
        assert server.arrived == []
        recording.lift()
        await asyncio.sleep(5)
        assert len(server.arrived) == 1

    async def test_one_that_fails_is_tried_again(self, stage: Stage, server: Server, run: Any) -> None:
        run(request(retry=RETRY))
        server.status = 503
        await stage.begin()
        stage.apply({"tasks": []})
        await asyncio.sleep(1.5)
        server.status = 200
        await asyncio.sleep(20)
        assert stage.status()["phase"] == "Succeeded"
        assert server.arrived == [stage.pod("call"), stage.pod("call", 2)]

    async def test_one_under_way_is_given_up_when_its_time_is_over(
        self, stage: Stage, server: Server, run: Any
    ) -> None:
        run(request(clocks=Clocks(run_seconds=10)))
        server.silent = True
        await stage.begin()
        stage.apply({"tasks": []})
        await asyncio.sleep(15)
        assert task(stage, "call")["reason"] == "TimedOut"
        assert len(stage.operator.errands) == 0

    async def test_one_under_way_ends_with_its_run(self, stage: Stage, server: Server, run: Any) -> None:
        run(request())
        server.silent = True
        await stage.begin()
        stage.apply({"tasks": []})
        await asyncio.sleep(5)
        assert len(stage.operator.errands) == 1
        stage.api.drop(WORKFLOWS, "daily")
        await asyncio.sleep(5)
        assert len(stage.operator.errands) == 0


class TestRestarts:
    @pytest.mark.parametrize(("method", "phase"), [("GET", "Succeeded"), ("POST", "Failed")])
    async def test_a_crash_while_it_is_under_way(
        self, stage: Stage, server: Server, run: Any, method: str, phase: str
    ) -> None:
        run(request(method=method, retry=RETRY))
        server.silent = True
        await stage.begin()
        stage.apply({"tasks": []})
        await asyncio.sleep(5)
        await stage.crash()
        server.silent = False
        await stage.restart()
        await asyncio.sleep(20)
        assert stage.status()["phase"] == phase
        assert server.arrived == [stage.pod("call")] * (2 if method == "GET" else 1)
        if method == "POST":
            assert task(stage, "call")["reason"] == "OutcomeUnknown"

    async def test_a_status_that_somebody_else_wrote(self, stage: Stage, server: Server, run: Any) -> None:
        """The run is read again while a request is under way, and it must not be in doubt for that."""
        run(request(), request("other", needs=("call",)))
        await stage.begin()
        stage.apply({"tasks": []})
        await asyncio.sleep(0.5)
        assert len(server.arrived) == 1
        stage.api.edit(WORKFLOWS, "daily", lambda raw: raw["status"].update(message="somebody was here"))
        stage.operator.controller.forget(stage.uid())
        stage.operator.queue.add(stage.uid())
        await asyncio.sleep(20)
        assert stage.status()["phase"] == "Succeeded"
        assert server.arrived == [stage.pod("call"), stage.pod("other")]

    async def test_an_operator_that_is_stopped_waits_for_what_must_be_sent_once(
        self, stage: Stage, server: Server, run: Any
    ) -> None:
        run(request(), request("next", needs=("call",)), wait())
        await stage.begin()
        stage.apply({"tasks": []})
        await asyncio.sleep(0.5)
        await stage.operator.controller.settle(10)
        await stage.operator.controller.drain(5)
        await stage.crash()
        assert task(stage, "call")["phase"] == "Succeeded"
        await stage.restart()
        await asyncio.sleep(30)
        assert task(stage, "next")["phase"] == "Succeeded"
        # The second was on record and not sent: that attempt is known to have come to nothing.
        assert set(server.arrived) <= {stage.pod("call"), stage.pod("next"), stage.pod("next", 2)}
        assert len(server.arrived) == 2

    async def test_one_that_is_stopped_while_a_start_is_being_recorded_leaves_no_doubt(
        self, stage: Stage, server: Server, run: Any
    ) -> None:
        run(request(retry=RETRY))
        recording = await recording_starts(stage)
        await asyncio.sleep(1)
        stopping = asyncio.create_task(stage.operator.controller.settle(10))
        await asyncio.sleep(1)
        recording.lift()
        await stopping
        await stage.operator.controller.drain(5)
        await stage.restart()
        await asyncio.sleep(30)
        assert stage.status()["phase"] == "Succeeded"
        assert server.arrived == [stage.pod("call", 2)]

    async def test_a_run_that_is_read_again_once_a_start_is_on_record_leaves_no_doubt(
        self, stage: Stage, server: Server, run: Any
    ) -> None:
        def forget(_type: str, raw: dict[str, Any]) -> None:
            if any(each.get("attempts") for each in raw["status"]["tasks"]):
                stage.api.leave(forget)
                stage.operator.controller.forget(uid)
                stage.operator.queue.add(uid)

        run(request())
        await stage.begin()
        uid = stage.apply({"tasks": [], "suspend": True})
        await asyncio.sleep(5)
        stage.api.follow(WORKFLOWS, forget)
        stage.respec(suspend=False)
        await asyncio.sleep(70)
        assert stage.status()["phase"] == "Succeeded"
        assert server.arrived == [stage.pod("call")]

    async def test_it_is_handed_over_with_its_end_on_record(self, stage: Stage, server: Server, run: Any) -> None:
        run(request())
        await stage.begin()
        group = stage.operator.holdings.group_of(stage.apply({"tasks": []}))
        await asyncio.sleep(0.5)
        assert len(server.arrived) == 1
        assert not stage.operator.duties.finish(group)
        recording = stage.api.hold("patch", WORKFLOWS)
        await asyncio.sleep(5)
        assert not stage.operator.duties.finish(group)
        recording.lift()
        await asyncio.sleep(1)
        assert stage.operator.duties.finish(group)
        assert stage.status()["phase"] == "Succeeded"


class TestWaits:
    async def test_until_the_condition_holds(self, stage: Stage, run: Any) -> None:
        run(wait())
        await stage.begin()
        stage.apply({"tasks": []})
        await asyncio.sleep(15)
        assert task(stage, "flag")["reason"] == "WaitingForCondition"
        assert task(stage, "flag")["message"] == "ConfigMap flag does not exist yet"
        flag = {"metadata": {"namespace": NAMESPACE, "name": "flag"}, "data": {"ready": "yes"}}
        stage.api.put(CONFIGMAPS, flag)
        await asyncio.sleep(15)
        assert stage.status()["phase"] == "Succeeded"

    async def test_through_a_restart(self, stage: Stage, run: Any) -> None:
        run(wait())
        await stage.begin()
        stage.apply({"tasks": []})
        await asyncio.sleep(15)
        await stage.restart()
        await asyncio.sleep(15)
        flag = {"metadata": {"namespace": NAMESPACE, "name": "flag"}, "data": {"ready": "yes"}}
        stage.api.put(CONFIGMAPS, flag)
        await asyncio.sleep(15)
        assert stage.status()["phase"] == "Succeeded"
        assert len(task(stage, "flag")["attempts"]) == 1

    async def test_not_longer_than_it_may(self, stage: Stage, run: Any) -> None:
        run(wait(clocks=Clocks(run_seconds=30)))
        await stage.begin()
        stage.apply({"tasks": []})
        await asyncio.sleep(35)
        assert task(stage, "flag")["reason"] == "TimedOut"
        looks = stage.api.count("get", CONFIGMAPS)
        await asyncio.sleep(100)
        assert stage.api.count("get", CONFIGMAPS) == looks
