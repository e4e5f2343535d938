"""The API server in memory answers like the real one: a part of `make conformance`, and what is no matter of chance."""

from __future__ import annotations

import os
from typing import Any

from e2e.kubectl import Cluster
from tests.conformance.campaign import Campaign, connected
from tests.conformance.normal import Ordinals, comparable
from tests.conformance.players import Fake, Real
from tests.conformance.steps import Memory, Step

from fairlead.kube.resources import CONFIGMAPS, NAMESPACES, PODS


def configmap(name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


async def test_both_answer_the_same(api_server: Cluster) -> None:
    campaign = Campaign(range(1, 61), enough=1)
    async with connected(api_server.kubeconfig) as session:
        await campaign.run(session)
    assert not campaign.disagreements, campaign.disagreements[0]
    assert campaign.asked.total() > 1000


async def test_a_namespace_that_is_going_away_takes_nothing_new(api_server: Cluster) -> None:
    name = f"fairlead-conformance-{os.getpid()}-going"
    maps, held = CONFIGMAPS.path(name), CONFIGMAPS.path(name, "held")
    merge = "application/merge-patch+json"
    steps = [
        Step(method="POST", path=maps, plural="configmaps", what="", body=configmap("held", finalizers=["a.io/b"])),
        Step(method="DELETE", path=NAMESPACES.path(None, name), plural="namespaces", what=""),
        Step(method="DELETE", path=NAMESPACES.path(None, name), plural="namespaces", what=""),
        Step(method="POST", path=maps, plural="configmaps", what="", body=configmap("new")),
        Step(method="POST", path=maps, plural="configmaps", what="", query={"dryRun": "All"}, body=configmap("new")),
        Step(method="PATCH", path=held, plural="configmaps", what="", body={"data": {"k": "v"}}, content_type=merge),
        Step(
            method="POST",
            path=PODS.path(f"{name}-not"),
            plural="pods",
            what="",
            body={"apiVersion": "v1", "kind": "Pod"},
        ),
    ]
    async with connected(api_server.kubeconfig) as session:
        real = Real(session, name)
        await real.open()
        answers = []
        for player in (real, Fake(name)):
            memory, ordinals = Memory(), Ordinals()
            said = [await player.send(step.request(memory)) for step in steps]
            answers.append(
                [comparable(code, body, step.plural, ordinals) for step, (code, body) in zip(steps, said, strict=True)]
            )
        await real.send(
            Step(
                method="PATCH",
                path=held,
                plural="",
                what="",
                body={"metadata": {"finalizers": None}},
                content_type=merge,
            ).request(Memory())
        )
    for step, one, other in zip(steps, *answers, strict=True):
        assert other == one, step


async def test_a_list_of_an_exact_version_tells_what_there_was(api_server: Cluster) -> None:
    name = f"fairlead-conformance-{os.getpid()}-exact"
    maps = CONFIGMAPS.path(name)
    told = []
    async with connected(api_server.kubeconfig) as session:
        real = Real(session, name)
        await real.open()
        for player in (real, Fake(name)):
            seen: list[Any] = []
            versions = []
            for each in ("a", "b"):
                step = Step(method="POST", path=maps, plural="configmaps", what="", body=configmap(each))
                await player.send(step.request(Memory()))
                _, listed = await player.send(Step(method="GET", path=maps, plural="", what="").request(Memory()))
                versions.append(listed["metadata"]["resourceVersion"])
            for more in (
                {"resourceVersionMatch": "Exact"},
                {"resourceVersionMatch": "NotOlderThan"},
                {"limit": "5"},
                {},
            ):
                query = {"resourceVersion": versions[0], **more}
                _, old = await player.send(
                    Step(method="GET", path=maps, plural="", what="", query=query).request(Memory())
                )
                version = old["metadata"]["resourceVersion"]
                seen.append((sorted(obj["metadata"]["name"] for obj in old["items"]), versions.index(version)))
            told.append(seen)
        await real.close()
    assert told[0] == told[1]
    assert told[1][0] == (["a", "kube-root-ca.crt"], 0)
