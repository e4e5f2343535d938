"""The bare driver: a loop that creates a pod when those before it have succeeded, and does nothing else.

`python -m e2e.bench.bare` is told on standard input which graph to play, a line of JSON each, and answers with a line.
It is the floor: what no engine can do without. With `"floor": true` it also does what any engine that loses nothing
has to do: its pods have a finalizer, which is taken off when a status that says how they ended has been written, as
often as Fairlead writes one. It uses the operator's own connection settings, event loop and JSON library.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import uvloop

from fairlead.api import labels
from fairlead.controllers.pace import SHARDS
from fairlead.kube.credentials import load_credentials
from fairlead.kube.errors import Gone, error_from_status
from fairlead.kube.finalizers import release_finalizer
from fairlead.kube.lines import LineSplitter
from fairlead.kube.resources import PODS, TASKSTATUSSHARDS, ObjectKey
from fairlead.kube.session import Session
from fairlead.kube.transport import ApiClient, PatchType

__all__ = ["POD", "Driver"]

POD: dict[str, Any] = {
    "nodeSelector": {"type": "kwok"},
    "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
}

#: Creates under way at once; tasks of which a status object tells.
_AT_ONCE, _A_SHARD = 64, 400


class Driver:
    """Plays one graph of pods in one namespace."""

    def __init__(
        self, client: ApiClient, namespace: str, parents: Mapping[str, Sequence[str]], at_once: int, *, floor: bool
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._left = {name: len(before) for name, before in parents.items()}
        self._children: dict[str, list[str]] = {name: [] for name in parents}
        for name, before in parents.items():
            for each in before:
                self._children[each].append(name)
        self._ready = deque(name for name, left in self._left.items() if not left)
        self._most = at_once or len(parents)
        self._live = 0
        self._ended: dict[str, float] = {}
        self._creating: set[asyncio.Task[None]] = set()
        self._floor = floor
        self._status: _Status | None = None

    async def play(self) -> float:
        """Return the seconds that it took until the last pod had ended, and that was on record where it is recorded."""
        began = time.perf_counter()
        self._status = _Status(self._client, self._namespace) if self._floor else None
        version = [page async for page in self._client.list_pages(PODS, self._namespace)][-1].resource_version
        self._start_ready()
        while len(self._ended) < len(self._left):
            version = await self._follow(version)
        if self._status is not None:
            await self._status.written()
        seconds = time.perf_counter() - began
        if self._status is not None:
            await self._status.let_go()
        return seconds

    async def _follow(self, version: str) -> str:
        lines = LineSplitter()
        watch = self._client.watch(PODS, self._namespace, resource_version=version)
        try:
            async with watch as chunks:
                async for chunk in chunks:
                    for line in lines.feed(chunk):
                        event = orjson.loads(line)
                        if event["type"] == "ERROR":
                            raise error_from_status(event["object"], request="watch pods")
                        version = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] != "BOOKMARK":  # comes about once a minute, and is no pod
                            self._hear(event["object"])
                    if len(self._ended) == len(self._left):
                        break
        except Gone:
            pages = [page async for page in self._client.list_pages(PODS, self._namespace)]
            for page in pages:
                for pod in page.items:
                    self._hear(pod)
            version = pages[-1].resource_version
        return version

    def _hear(self, pod: Mapping[str, Any]) -> None:
        name = pod["metadata"]["name"]
        if pod.get("status", {}).get("phase") != "Succeeded" or name not in self._left or name in self._ended:
            return
        self._ended[name] = time.time()
        self._live -= 1
        for child in self._children[name]:
            self._left[child] -= 1
            if not self._left[child]:
                self._ready.append(child)
        self._start_ready()
        if self._status is not None:
            self._status.ended(name, pod["metadata"]["uid"])

    def _start_ready(self) -> None:
        while self._ready and self._live < self._most:
            self._live += 1
            task = asyncio.create_task(self._create(self._ready.popleft()))
            self._creating.add(task)
            task.add_done_callback(self._creating.discard)

    async def _create(self, name: str) -> None:
        metadata: dict[str, Any] = {"name": name, "labels": {"bench": "bare"}}
        if self._status is not None:
            metadata["finalizers"] = [labels.FINALIZER]
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": POD
            | {
                "restartPolicy": "Never",
                "containers": [{"name": "main", "image": "busybox:1.36", "command": ["true"]}],
            },
        }
        await self._client.create(PODS, body, self._namespace, metadata_only=True)


class _Status:
    """Writes as often as Fairlead writes its shards how pods have ended, and lets go of them then."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._shards: list[list[dict[str, Any]]] = []
        self._made: set[int] = set()
        self._changed: set[int] = set()
        self._held: list[tuple[str, str]] = []
        self._releasing: list[asyncio.Task[None]] = []
        self._over = asyncio.Event()
        self._writing = asyncio.create_task(self._run())

    def ended(self, name: str, uid: str) -> None:
        """Note the end of a pod."""
        if not self._shards or len(self._shards[-1]) == _A_SHARD:
            self._shards.append([])
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        attempt = {"number": 1, "podName": name, "startTime": at, "completionTime": at, "exitCode": 0}
        self._shards[-1].append({"name": name, "phase": "Succeeded", "startTime": at, "completionTime": at})
        self._shards[-1][-1]["attempts"] = [attempt]
        self._changed.add(len(self._shards) - 1)
        self._held.append((name, uid))

    async def _run(self) -> None:
        over, rest = False, SHARDS.shortest
        while not over:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), rest)
            over = self._over.is_set()
            held, self._held = self._held, []
            changed, self._changed = self._changed, set()
            began = time.perf_counter()
            await asyncio.gather(*(self._write(index) for index in changed))
            rest = SHARDS.interval(time.perf_counter() - began)
            self._releasing.extend(asyncio.create_task(self._release(name, uid)) for name, uid in held)

    async def written(self) -> None:
        """Wait until the ends of all are on record."""
        self._over.set()
        await self._writing

    async def let_go(self) -> None:
        """Wait until every pod is let go of."""
        await asyncio.gather(*self._releasing)

    async def _write(self, index: int) -> None:
        name = f"floor-{index}"
        body: dict[str, Any] = {"tasks": self._shards[index], "revision": 1}
        if index in self._made:
            await self._client.patch(TASKSTATUSSHARDS, name, body, PatchType.MERGE, self._namespace, metadata_only=True)
            return
        self._made.add(index)
        whole = {
            "apiVersion": TASKSTATUSSHARDS.api_version,
            "kind": TASKSTATUSSHARDS.kind,
            "metadata": {"name": name},
            "workflowUID": "floor",
            "index": index,
        }
        await self._client.create(TASKSTATUSSHARDS, whole | body, self._namespace, metadata_only=True)

    async def _release(self, name: str, uid: str) -> None:
        key = ObjectKey(self._namespace, name)
        await release_finalizer(self._client, PODS, key, uid=uid, finalizer=labels.FINALIZER)


async def _serve(kubeconfig: Path) -> None:
    loop = asyncio.get_running_loop()
    async with Session(await load_credentials(kubeconfig=kubeconfig)) as session:
        client = ApiClient(session, max_in_flight=_AT_ONCE)
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            asked = orjson.loads(line)
            driver = Driver(client, asked["namespace"], asked["parents"], asked["atOnce"], floor=asked["floor"])
            print(orjson.dumps({"seconds": await driver.play()}).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1])))
