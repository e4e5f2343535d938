"""What is measured of Fairlead alone: how soon it acts after a restart, and what it costs while nothing happens.

No pod of these runs anywhere: no scheduler feels addressed by them.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from e2e.bench.engines import Fairlead
from e2e.bench.measure import remove
from e2e.bench.process import cpu_seconds, forget_peak, peak_megabytes
from e2e.devcluster.api import Api

__all__ = ["idle", "restart"]

Object = dict[str, Any]

_PATIENCE_SECONDS = 1800.0
#: As long as between two looks at all Workflows, where there are thousands (`controllers/sweep.py`): one is in it.
_WINDOW_SECONDS = 180.0
_QUIET_SECONDS = 10.0


def restart(engine: Fairlead, namespace: str, pods: int) -> Object:
    """Kill the operator in a run of so many tasks, let one succeed meanwhile, and wait for the next pod."""
    api = engine.api
    _open(api, namespace)
    engine.start()
    try:
        tasks = [{"name": f"m{number}", "group": "middle"} for number in range(pods - 1)]
        _submit(api, namespace, "large", [*tasks, {"name": "next", "needs": ["m0"]}])
        path = f"/api/v1/namespaces/{namespace}/pods"
        _wait(f"{pods - 1} pods", lambda: _count(api, path), pods - 1)
        _wait("the status of all", lambda: _recorded(api, namespace), pods - 1)
        engine.kill()
        first = api.request("GET", f"{path}?labelSelector=fairlead.dev/task=m0")["items"][0]["metadata"]["name"]
        succeeded = {"status": {"phase": "Succeeded"}}
        api.request("PATCH", f"{path}/{first}/status", succeeded, "application/merge-patch+json")
        version = api.request("GET", f"{path}?limit=1")["metadata"]["resourceVersion"]
        seen = threading.Event()
        watcher = threading.Thread(target=_until_next, args=(api, path, version, seen), daemon=True)
        watcher.start()
        time.sleep(0.5)  # it is under way
        began = time.perf_counter()
        engine.start(ready=False)
        if not seen.wait(120):
            raise TimeoutError(f"nothing was started within 120 s after the restart: {engine.log_tail()}")
        seconds = time.perf_counter() - began
        watcher.join(10)
        return {"restart_pods": pods, "restart_seconds": round(seconds, 2)}
    finally:
        engine.stop()
        remove(api, namespace)


def idle(engine: Fairlead, namespace: str, workflows: int) -> Object:
    """Let so many workflows wait for one that has their key, and measure what the operator uses meanwhile."""
    api = engine.api
    _open(api, namespace)
    engine.start()
    try:
        for number in range(workflows):
            _submit(api, namespace, f"w{number}", [{"name": "held"}], concurrencyKey={"key": "one"})
        _wait(f"{workflows} workflows to wait", lambda: _waiting(api, namespace), workflows - 1)
        _wait_until_quiet("Events", lambda: _count(api, f"/api/v1/namespaces/{namespace}/events"))
        forget_peak(engine.pid)
        before, began = cpu_seconds(engine.pid), time.perf_counter()
        time.sleep(_WINDOW_SECONDS)
        used = cpu_seconds(engine.pid) - before
        return {
            "idle_workflows": workflows,
            "idle_cpu_percent": round(100 * used / (time.perf_counter() - began), 2),
            "idle_rss_mb": round(peak_megabytes(engine.pid)),
        }
    finally:
        engine.stop()
        remove(api, namespace)


def _open(api: Api, namespace: str) -> None:
    remove(api, namespace)
    api.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})


def _submit(api: Api, namespace: str, name: str, tasks: list[Object], **spec: Any) -> None:
    body = {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {
            "taskDefaults": {"image": "none", "pod": {"schedulerName": "nobody"}},
            "tasks": [{**task, "container": {}} for task in tasks],
            **spec,
        },
    }
    api.request("POST", f"/apis/fairlead.dev/v1alpha1/namespaces/{namespace}/workflows", body, timeout=60)


def _wait(what: str, found: Any, wanted: int) -> None:
    deadline, told_at = time.monotonic() + _PATIENCE_SECONDS, 0.0
    while (count := found()) < wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: only {count} after {_PATIENCE_SECONDS:.0f} s")
        if time.monotonic() - told_at > 15:
            told_at = time.monotonic()
            print(f"waiting for {what}: {count} so far", file=sys.stderr, flush=True)
        time.sleep(1)


def _wait_until_quiet(what: str, found: Callable[[], int]) -> None:
    """Wait until there come no more of them for a while: what was to be told of the submission has been."""
    deadline, count, since = time.monotonic() + _PATIENCE_SECONDS, -1, 0.0
    while count != (newest := found()) or time.monotonic() - since < _QUIET_SECONDS:
        if time.monotonic() > deadline:
            raise TimeoutError(f"there still come {what} after {_PATIENCE_SECONDS:.0f} s: {newest} by now")
        if count != newest:
            count, since = newest, time.monotonic()
        time.sleep(1)


def _count(api: Api, path: str) -> int:
    page = api.request("GET", f"{path}?limit=1")
    return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))


def _recorded(api: Api, namespace: str) -> int:
    """Return how many tasks the shards of the large run tell of."""
    shards = api.request("GET", f"/apis/fairlead.dev/v1alpha1/namespaces/{namespace}/taskstatusshards", timeout=60)
    return sum(len(shard["tasks"]) for shard in shards["items"])


def _waiting(api: Api, namespace: str) -> int:
    path = f"/apis/fairlead.dev/v1alpha1/namespaces/{namespace}/workflows"
    found = api.table(f"{path}?resourceVersion=0&includeObject=None")
    column = next(i for i, each in enumerate(found["columnDefinitions"]) if each["name"] == "Phase")
    return sum(row["cells"][column] == "Pending" for row in found["rows"])


def _until_next(api: Api, path: str, version: str, seen: threading.Event) -> None:
    for event in api.watch(path, version, 150):
        labels = event["object"]["metadata"].get("labels", {})
        if event["type"] == "ADDED" and labels.get("fairlead.dev/task") == "next":
            seen.set()
            return
