"""One measurement: a shape, an engine, an empty namespace; and what of it is compared."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from e2e.bench.engines import Engine
from e2e.bench.process import cpu_seconds, forget_peak, peak_megabytes
from e2e.bench.shapes import Shape
from e2e.devcluster.api import Api, Refusal

__all__ = ["Creations", "Measured", "measure", "remove"]

#: Shapes of at most so many pods are watched pod by pod: from one's creation to the next one's is a hop.
_WATCHED = 20

_BASE_SECONDS, _SECONDS_A_POD, _GONE_SECONDS = 60.0, 0.1, 600.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What one engine made of one shape. Times in seconds, `hops` between creations of pods, where they were watched.

    `cpu` and `counted` (what the engine has counted itself) are until every pod is let go of, which is part of what a
    task costs, and can be after the end of the graph.
    """

    seconds: float
    cpu: float
    megabytes: float
    hops: tuple[float, ...]
    counted: Mapping[str, float]

    @property
    def hop(self) -> float:
        """The middle hop, 0 where they were not watched."""
        return median(self.hops) if self.hops else 0.0

    @property
    def time(self) -> float:
        """What is compared: the hop of a chain, the makespan of all else."""
        return self.hop or self.seconds


def measure(api: Api, engine: Engine, shape: Shape, namespace: str) -> Measured:
    """Play a shape once, in a namespace that is made if need be, and emptied afterwards; removed if that failed."""
    if not api.exists(f"/api/v1/namespaces/{namespace}"):
        api.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    try:
        watch = Creations(api, namespace, shape.pods) if shape.pods <= _WATCHED else None
        before, cpu = engine.counters(), cpu_seconds(engine.pid)
        forget_peak(engine.pid)
        most = _BASE_SECONDS + shape.pods * _SECONDS_A_POD
        seconds = engine.play(shape, namespace, most)
        _settle(api, namespace, most)
        used, peak = cpu_seconds(engine.pid) - cpu, peak_megabytes(engine.pid)
        after = engine.counters()
        counted = {name: value - before.get(name, 0.0) for name, value in after.items()}
        times = [] if watch is None else watch.end(10)
        hops = tuple(later - earlier for earlier, later in itertools.pairwise(times))
        _empty(api, namespace)
    except BaseException:
        remove(api, namespace)
        raise
    return Measured(seconds, used, peak, hops, counted)


def _settle(api: Api, namespace: str, seconds: float) -> None:
    """Wait until no pod has a finalizer any more, asking rarely: the API server is busy with just that."""
    deadline, pause = time.monotonic() + seconds, 0.1
    path = f"/api/v1/namespaces/{namespace}/pods?resourceVersion=0"
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    while any(
        each["metadata"].get("finalizers") for each in api.request("GET", path, accept=accept, timeout=60)["items"]
    ):
        if time.monotonic() > deadline:
            raise TimeoutError(f"there are still pods with a finalizer {seconds:.0f} s after the end")
        time.sleep(pause)
        pause = min(2 * pause, 2.0)


class Creations:
    """Notes when so many pods of a namespace were created, in a thread of its own, which ends with the last of them.

    It listens for at most `seconds`.
    """

    def __init__(self, api: Api, namespace: str, count: int, seconds: int = 60) -> None:
        self._count = count
        path = f"/api/v1/namespaces/{namespace}/pods"
        self._times: dict[str, float] = {}
        version = api.request("GET", path)["metadata"]["resourceVersion"]
        self._thread = threading.Thread(target=self._follow, args=(api, path, version, seconds), daemon=True)
        self._thread.start()
        time.sleep(0.2)  # it is under way

    def _follow(self, api: Api, path: str, version: str, seconds: int) -> None:
        for event in api.watch(path, version, seconds):
            if event["type"] == "ADDED":
                self._times.setdefault(event["object"]["metadata"]["name"], time.perf_counter())
            if len(self._times) == self._count:
                return  # a watch that is left open would be a load on what is measured next

    def end(self, seconds: float) -> list[float]:
        """Wait at most so long for the last; return the times, in order.

        Raises RuntimeError where some were not heard of.
        """
        self._thread.join(seconds)
        if len(self._times) < self._count:
            raise RuntimeError(f"{len(self._times)} of {self._count} pods were seen to be created")
        return sorted(self._times.values())


def _empty(api: Api, namespace: str) -> None:
    """Delete what runs that are over have left in a namespace: it would take 5 s more to be gone itself, each time.

    Pods go before their owners, or the garbage collector would delete them, too.
    """
    groups = {"api/v1": ("pods", "events"), "apis/fairlead.dev/v1alpha1": ("taskstatusshards", "workflows")}
    paths = [f"/{group}/namespaces/{namespace}/{kind}" for group, kinds in groups.items() for kind in kinds]
    for path in paths:
        _delete(api, path)
    deadline = time.monotonic() + _GONE_SECONDS
    while left := [path for path in paths if not path.endswith("events") and _holds(api, path)]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"there is still something at {left[0]} after {_GONE_SECONDS:.0f} s")
        time.sleep(0.3)


def _holds(api: Api, path: str) -> bool:
    try:
        return bool(api.request("GET", f"{path}?limit=1")["items"])
    except Refusal as refusal:
        if refusal.status == 404:  # there is no such resource: the engine is another one
            return False
        raise


def remove(api: Api, namespace: str) -> None:
    """Remove a namespace with all that is in it, whoever holds that, and wait until it is gone."""
    path = f"/api/v1/namespaces/{namespace}"
    _delete(api, f"/apis/fairlead.dev/v1alpha1/namespaces/{namespace}/workflows")
    _release(api, f"/apis/fairlead.dev/v1alpha1/namespaces/{namespace}/taskstatusshards")
    _release(api, f"/api/v1/namespaces/{namespace}/pods")
    _delete(api, f"/api/v1/namespaces/{namespace}/pods")
    _delete(api, path)
    deadline = time.monotonic() + _GONE_SECONDS
    while api.exists(path):
        if time.monotonic() > deadline:
            raise TimeoutError(f"namespace {namespace} is not gone after {_GONE_SECONDS:.0f} s")
        time.sleep(0.3)


def _delete(api: Api, path: str) -> None:
    """Delete an object, or a collection, which takes longer than the server lets a request take if it is large."""
    options: dict[str, Any] = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
    deadline = time.monotonic() + _GONE_SECONDS
    while True:
        try:
            api.request("DELETE", path, options, timeout=300)
        except Refusal as refusal:
            if refusal.status == 404:
                return
            if refusal.status != 504:
                raise
        except ConnectionError:
            time.sleep(1)  # the server has closed it in the middle: there are fewer now
        else:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} is not deleted after {_GONE_SECONDS:.0f} s")


def _release(api: Api, path: str) -> None:
    """Take the finalizers off: what an engine that was stopped still holds."""
    try:
        found = api.request("GET", f"{path}?limit=100000", timeout=120)["items"]
    except Refusal as refusal:
        if refusal.status == 404:
            return
        raise
    for each in found:
        if each["metadata"].get("finalizers"):
            body = {"metadata": {"finalizers": None}}
            try:
                api.request("PATCH", f"{path}/{each['metadata']['name']}", body, "application/merge-patch+json")
            except Refusal as refusal:
                if refusal.status != 404:
                    raise
