"""What a second replica brings: how many tasks two start, to one, where it is the operator that is the limit.

On a small machine the API server is full before an operator is. So each replica gets a small share of a CPU, as if its
Deployment said so; what is compared is the time in which one replica, and two, start three quarters of the tasks of the
same workflows. By then both of two still have work: who of them has how many runs is up to the UIDs, 60 of a hundred
and 40 for instance, so that to wait for the last one would be to measure that.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from statistics import mean
from typing import Any

from e2e.bench.engines import Fairlead, phases, workflow
from e2e.bench.measure import Creations, remove
from e2e.bench.quota import limited
from e2e.bench.shapes import Shape, wide
from e2e.replicas import Replicas

__all__ = ["replicated"]

#: So little that two of them leave most of this machine to the API server: what one starts with it is a fifth of what
#: the API server can take.
_CPUS = 0.035

#: Many enough that both of two have work until three quarters have begun, and large enough that their pods are the
#: work. Of very small ones the Workflows themselves are, which every replica has to hear of.
_SHAPE = Shape("many-100x20", wide(18), copies=100)

_STARTED = _SHAPE.pods * 3 // 4

_ROUNDS, _PATIENCE_SECONDS = 5, 300


def replicated(engine: Fairlead, namespace: str) -> dict[str, Any]:
    """Play a hundred workflows of twenty pods with one replica and with two, in turn. Returns means."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for number in range(1, _ROUNDS + 1):
        for count, found in seconds.items():
            found.append(_play(engine, namespace, count))
            print(f"replicas {number}/{_ROUNDS}: {count} took {found[-1]:.1f} s", file=sys.stderr, flush=True)
    one, two = mean(seconds[1]), mean(seconds[2])
    return {
        "replicas_pods": _STARTED,
        "replicas_cpus": _CPUS,
        "replicas_one_seconds": round(one, 2),
        "replicas_two_seconds": round(two, 2),
        "replicas_ratio": round(one / two, 2),
    }


def _play(engine: Fairlead, namespace: str, count: int) -> float:
    api = engine.api
    shape = _SHAPE
    path = f"/apis/fairlead.dev/v1alpha1/namespaces/{namespace}/workflows"
    leases = f"{namespace}-leases"
    for each in (namespace, leases):
        remove(api, each)
        api.request("POST", "/api/v1/namespaces", {"metadata": {"name": each}})
    try:
        with Replicas(engine.cluster, leases, engine.folder) as replicas, ExitStack() as limits:
            members = [replicas.start(f"replica-{number}") for number in range(count)]
            replicas.wait_shares(*members)
            for each in members:
                assert each.process.process is not None
                limits.enter_context(limited(each.process.process.pid, _CPUS))
            creations = Creations(api, namespace, _STARTED, _PATIENCE_SECONDS)
            began = time.perf_counter()
            for copy in range(shape.copies):
                api.request("POST", path, workflow(f"w{copy}", shape))
            seconds = creations.end(_PATIENCE_SECONDS)[-1] - began
            limits.close()  # the rest is not measured, but all of them have to succeed
            while (found := phases(api, path)).count("Succeeded") < shape.copies:
                if time.perf_counter() - began > _PATIENCE_SECONDS:
                    raise TimeoutError(f"not over after {_PATIENCE_SECONDS} s: {found[:5]}")
                time.sleep(0.2)
            return seconds
    finally:
        for each in (namespace, leases):
            remove(api, each)
