"""`make bench`: what Fairlead adds to the API server's own time, as ratios measured in one run.

A chain of no-op tasks on a simulated node, once as a Workflow and once by a bare loop that only creates a pod, watches
it finish and creates the next; alternating, several rounds, medians. Absolute times say something about the machine
only; the ratio is the claim. The bare loop uses the same connection settings and JSON library as the operator.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from e2e import dev_operator
from e2e.kubectl import Cluster
from e2e.operators import OperatorProcess
from fairlead.kube.credentials import load_credentials, open_session
from fairlead.kube.errors import NotFound
from fairlead.kube.resources import NAMESPACES, PODS, WORKFLOWS
from fairlead.kube.transport import ApiClient

NAMESPACE = "fairlead-bench"
_LIMIT_SECONDS = 120.0
_POD: dict[str, Any] = {
    "nodeSelector": {"type": "kwok"},
    "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
}
_CONTAINER: dict[str, Any] = {"image": "busybox:1.36", "command": ["true"]}


@dataclass(slots=True)
class Observed:
    """What one watch of the pods saw of one measurement."""

    created: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)

    def hop_seconds(self) -> float:
        """Mean time from one pod's creation to the next one's."""
        times = sorted(self.created.values())
        return (times[-1] - times[0]) / (len(times) - 1)

    def makespan_seconds(self) -> float:
        """From the first pod's creation to the last pod's end."""
        return max(self.ended.values()) - min(self.created.values())


class Bench:
    """One measurement after the other, in one namespace, over one session."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def bare(self, length: int, round_: int) -> Observed:
        """Create, watch until it has succeeded, create the next."""
        label = f"bare-{round_}"
        observed = Observed()
        async with self._pods(f"bench={label}", observed) as news:
            for number in range(length):
                name = f"{label}-{number}"
                await self._client.create(PODS, _bare_pod(name, label), NAMESPACE, metadata_only=True)
                while name not in observed.ended:
                    await news()
        return observed

    async def fairlead(self, length: int, round_: int) -> Observed:
        """The same as a Workflow; ends when the Workflow says that it has finished."""
        name = f"chain-{round_}"
        observed = Observed()
        async with self._pods(f"fairlead.dev/workflow={name}", observed) as news:
            await self._client.create(WORKFLOWS, _chain(name, length), NAMESPACE, metadata_only=True)
            while len(observed.ended) < length:
                await news()
        async with asyncio.timeout(_LIMIT_SECONDS):
            while (await self._client.get(WORKFLOWS, name, NAMESPACE))["status"].get("phase") != "Succeeded":
                await asyncio.sleep(0.02)
        return observed

    def _pods(self, selector: str, observed: Observed) -> _Watch:
        return _Watch(self._client, selector, observed)


class _Watch:
    """A watch of pods that notes when each was created and ended; `await news()` waits for the next bytes."""

    def __init__(self, client: ApiClient, selector: str, observed: Observed) -> None:
        self._client = client
        self._selector = selector
        self._observed = observed
        self._stack = AsyncExitStack()
        self._rest = b""

    async def __aenter__(self) -> Any:
        pages = [page async for page in self._client.list_pages(PODS, NAMESPACE, label_selector=self._selector)]
        watch = self._client.watch(
            PODS, NAMESPACE, resource_version=pages[-1].resource_version, label_selector=self._selector
        )
        self._stream = await self._stack.enter_async_context(watch)
        return self._news

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def _news(self) -> None:
        async with asyncio.timeout(_LIMIT_SECONDS):
            chunk = await anext(self._stream)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        now = time.perf_counter()
        for line in filter(None, lines):
            event = orjson.loads(line)
            if event["type"] not in ("ADDED", "MODIFIED"):
                continue
            name = event["object"]["metadata"]["name"]
            self._observed.created.setdefault(name, now)
            if event["object"].get("status", {}).get("phase") == "Succeeded":
                self._observed.ended.setdefault(name, now)


def _bare_pod(name: str, label: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"bench": label}},
        "spec": _POD | {"restartPolicy": "Never", "containers": [_CONTAINER | {"name": "main"}]},
    }


def _chain(name: str, length: int) -> dict[str, Any]:
    tasks = [
        {"name": f"t{number}", "container": _CONTAINER, "pod": _POD} | ({"needs": [f"t{number - 1}"]} if number else {})
        for number in range(length)
    ]
    return {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": name},
        "spec": {"tasks": tasks},
    }


async def measure(kubeconfig: Path, length: int, rounds: int) -> tuple[list[Observed], list[Observed]]:
    """Return what was observed of the bare loop and of Fairlead, a round each in turn."""
    credentials = await load_credentials(kubeconfig=kubeconfig)
    async with open_session(credentials) as session:
        client = ApiClient(session)
        await _remove_namespace(client)
        await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        bench = Bench(client)
        bare: list[Observed] = []
        ours: list[Observed] = []
        try:
            await bench.bare(2, 0)  # warm connections and caches for both
            await bench.fairlead(2, 0)
            for round_ in range(1, rounds + 1):
                bare.append(await bench.bare(length, round_))
                ours.append(await bench.fairlead(length, round_))
                ratio = ours[-1].hop_seconds() / bare[-1].hop_seconds()
                print(
                    f"round {round_}: bare {bare[-1].hop_seconds() * 1000:.1f} ms a hop, "
                    f"fairlead {ours[-1].hop_seconds() * 1000:.1f} ms, ratio {ratio:.2f}",
                    file=sys.stderr,
                )
        finally:
            await _remove_namespace(client)
        return bare, ours


async def _remove_namespace(client: ApiClient) -> None:
    async with asyncio.timeout(_LIMIT_SECONDS):
        while True:
            try:
                found = await client.get(NAMESPACES, NAMESPACE)
                if "deletionTimestamp" not in found["metadata"]:
                    await client.delete(NAMESPACES, NAMESPACE, uid=found["metadata"]["uid"])
            except NotFound:
                return
            await asyncio.sleep(0.2)


def main() -> int:
    """Measure, print the table, write the result; fail where the ratio is over the limit."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench", description=__doc__)
    parser.add_argument("--length", type=int, default=20, help="tasks of the chain")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=2.0, help="fail when the median ratio of the hop is over this")
    parser.add_argument("--output", type=Path, default=Path("bench/results/latest.json"))
    arguments = parser.parse_args()
    cluster = Cluster.current()
    dev_operator.make_way()
    cluster.install_crds()
    with (
        tempfile.TemporaryDirectory() as folder,
        OperatorProcess(cluster, Path(folder) / "operator.log") as operator,
    ):
        operator.wait_ready()
        bare, ours = asyncio.run(measure(cluster.kubeconfig, arguments.length, arguments.rounds))
    result = _result(arguments.length, bare, ours)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")
    _print(result)
    passed = result["ratio_vs_bare"] <= arguments.limit
    verdict = "within" if passed else "over"
    print(f"\nhop {result['ratio_vs_bare']:.2f}× the bare loop's: {verdict} the limit of {arguments.limit:.1f}×")
    return 0 if passed else 1


def _result(length: int, bare: list[Observed], ours: list[Observed]) -> dict[str, Any]:
    pairs = list(zip(bare, ours, strict=True))
    return {
        "shape": f"chain {length}",
        "rounds": len(pairs),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "bare_hop_ms": round(statistics.median(each.hop_seconds() for each in bare) * 1000, 1),
        "hop_ms": round(statistics.median(each.hop_seconds() for each in ours) * 1000, 1),
        # Of each round, so that a busy moment of the machine counts on both sides.
        "ratio_vs_bare": round(statistics.median(o.hop_seconds() / b.hop_seconds() for b, o in pairs), 2),
        "makespan_ratio_vs_bare": round(
            statistics.median(o.makespan_seconds() / b.makespan_seconds() for b, o in pairs), 2
        ),
    }


def _print(result: dict[str, Any]) -> None:
    print(f"\n{'shape':<12}{'bare hop':>12}{'fairlead hop':>15}{'ratio':>8}{'makespan ratio':>17}")
    print(
        f"{result['shape']:<12}{result['bare_hop_ms']:>9.1f} ms{result['hop_ms']:>12.1f} ms"
        f"{result['ratio_vs_bare']:>8.2f}{result['makespan_ratio_vs_bare']:>17.2f}"
    )


if __name__ == "__main__":
    sys.exit(main())
