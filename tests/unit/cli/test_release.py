"""`fairlead release` takes our finalizer off what an operator that is gone holds, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from fairlead.api import labels
from fairlead.cli.exits import ExitCode
from fairlead.cli.main import app
from fairlead.cli.releasing import delete_leases, release_once
from fairlead.kube.resources import (
    CONFIGMAPS,
    JOBS,
    LEASES,
    NAMESPACES,
    PODS,
    TASKSTATUSSHARDS,
    WORKFLOWS,
    Resource,
)
from fairlead.kube.transport import ApiClient
from fairlead.testing.cluster import Cluster
from fairlead.testing.loop import run
from fairlead.testing.nodes import Act

OTHERS = "example.com/theirs"


class Scene:
    def __init__(self) -> None:
        self.cluster = Cluster(lambda _: Act(seconds=30))
        self.cluster.put(NAMESPACES, {"metadata": {"name": "team-a"}})
        self.client = ApiClient(self.cluster.network.session("kubectl"))  # type: ignore[arg-type]

    def put(
        self, resource: Resource, name: str, namespace: str = "default", *, label: bool = True, **more: Any
    ) -> None:
        metadata = {
            "name": name,
            "finalizers": [OTHERS, labels.FINALIZER],
            "labels": {labels.RUN_UID: "run"} if label else {},
        }
        self.cluster.put(resource, {"metadata": metadata, **more}, namespace)

    def finalizers(self, resource: Resource, name: str, namespace: str = "default") -> list[str]:
        return list(self.cluster.get(resource, name, namespace)["metadata"].get("finalizers", ()))


def play(scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        on = Scene()
        await scene(on)
        await on.cluster.close()

    run(main(), stall_at=10_000)


POD = {"spec": {"containers": [{"name": "main", "image": "i"}]}}
JOB = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "i"}], "restartPolicy": "Never"}}}}
SHARD = {"index": 0, "workflowUID": "run", "revision": 1, "tasks": []}


def test_pods_jobs_and_shards_are_let_go_of_and_the_finalizers_of_others_stay() -> None:
    async def scene(on: Scene) -> None:
        on.put(PODS, "p", **POD)
        on.put(JOBS, "j", **JOB)
        on.put(TASKSTATUSSHARDS, "s", label=False, **SHARD)
        assert await release_once(on.client, ()) == 3
        for resource, name in ((PODS, "p"), (JOBS, "j"), (TASKSTATUSSHARDS, "s")):
            assert on.finalizers(resource, name) == [OTHERS]
        assert await release_once(on.client, ()) == 0

    play(scene)


def test_only_the_namespaces_that_are_named() -> None:
    async def scene(on: Scene) -> None:
        on.put(PODS, "p", **POD)
        on.put(PODS, "p", "team-a", **POD)
        assert await release_once(on.client, ("team-a",)) == 1
        assert labels.FINALIZER in on.finalizers(PODS, "p")
        assert labels.FINALIZER not in on.finalizers(PODS, "p", "team-a")

    play(scene)


def test_what_is_none_of_ours_is_not_looked_at() -> None:
    async def scene(on: Scene) -> None:
        on.put(CONFIGMAPS, "c")
        assert await release_once(on.client, ()) == 0
        assert labels.FINALIZER in on.finalizers(CONFIGMAPS, "c")

    play(scene)


def test_a_run_of_an_operator_that_is_gone_can_be_deleted_and_one_that_comes_back_goes_on() -> None:
    async def scene(on: Scene) -> None:
        host = on.cluster.host()
        host.start()
        spec = {"tasks": [{"name": "a", "container": {"image": "i"}}]}
        for name in ("stays", "goes"):
            on.cluster.put(WORKFLOWS, {"metadata": {"name": name}, "spec": spec}, "default")
        assert await on.cluster.until(lambda: len(on.cluster.list(PODS)) == 2)
        await host.stop()
        assert await release_once(on.client, ()) == 2
        on.cluster.delete(WORKFLOWS, "goes")
        assert await on.cluster.until(lambda: len(on.cluster.list(PODS)) == 1, 120)
        await asyncio.sleep(60)
        host.start()
        assert await on.cluster.until(lambda: on.cluster.finished("stays"), 60)
        assert on.cluster.get(WORKFLOWS, "stays")["status"]["phase"] == "Succeeded"
        created = [e.key.name for e in on.cluster.server.journal if (e.verb, e.resource) == ("create", "pods")]
        assert len(created) == 2

    play(scene)


def test_leases_of_replicas_go_and_those_of_others_stay() -> None:
    async def scene(on: Scene) -> None:
        on.cluster.put(LEASES, {"metadata": {"name": "ours", "labels": {labels.LEASE: "member"}}}, "team-a")
        on.cluster.put(LEASES, {"metadata": {"name": "theirs"}}, "team-a")
        await delete_leases(on.client, "team-a")
        assert [each["metadata"]["name"] for each in on.cluster.list(LEASES)] == ["theirs"]

    play(scene)


@pytest.mark.parametrize("arguments", [[], ["-A", "-n", "team-a"]], ids=["nowhere", "both"])
def test_where_must_be_said(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["release", *arguments])
    assert result.exit_code == ExitCode.USAGE
    assert "--namespace" in result.output
