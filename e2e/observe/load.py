"""Work for the operator: runs that succeed, fail, wait, queue, and a large one. Nothing in it is a fault."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from typing import Any, Self

from e2e.kubectl import Cluster, CommandFailed
from e2e.workflows import sh, workflow

__all__ = ["NAMESPACE", "Load"]

NAMESPACE = "fairlead-observe"

Object = dict[str, Any]

#: On a simulated node: a pod costs nothing but API calls, and succeeds at once.
_SIMULATED: Object = {
    "pod": {
        "nodeSelector": {"type": "kwok"},
        "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
    },
}

_TASK: Object = {"container": {"image": "busybox:1.36"}, **_SIMULATED}

_EVERY_SECONDS = 1.5

#: One in so many fails.
_FAILING = 8


@dataclass(slots=True)
class Load:
    """Runs of two templates, one after the other, until the end of the block; and some that stay for the whole time."""

    cluster: Cluster
    _closing: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Apply what stays, and begin with what comes and goes."""
        self.apply(*_templates())
        self.apply(
            workflow("waits", {"a": {"wait": {"seconds": 3600}}}),
            workflow("asks", {"a": {"approval": {"message": "Go on?"}}}),
            workflow("queues", {f"t{index}": sh("sleep 2") for index in range(12)}, parallelism=2),
            workflow("runs", {f"t{index}": sh("sleep 3600") for index in range(12)}),
            workflow("is-stopped", {"a": sh("sleep 3600")}),
            workflow("is-wrong", {"a": {**_TASK, "needs": ["nobody"]}}),
            workflow(
                "large",
                {"m": {**_TASK, "forEach": {"in": "${params.items}", "maxParallel": 10}}},
                params=[{"name": "items", "type": "array", "default": list(range(300))}],
            ),
        )
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def apply(self, *documents: Object) -> None:
        """Apply objects to the namespace."""
        self.cluster.apply(*documents, namespace=NAMESPACE)

    def _go_on(self) -> None:
        for number in itertools.count(1):
            if self._closing.wait(_EVERY_SECONDS):
                return
            template = "flaky" if number % _FAILING == _FAILING // 2 else "daily"
            try:
                self.apply(of_template(f"{template}-{number}", template))
            except CommandFailed:
                continue  # the API server is away, which is what is being tried


def of_template(name: str, template: str) -> Object:
    """Return a run of a template, which is removed some time after its end."""
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {"templateRef": {"name": template}, "ttlSecondsAfterFinished": 60},
    }


def _templates() -> list[Object]:
    daily = {
        "extract": _TASK,
        "transform": {**_TASK, "needs": ["extract"], "forEach": {"in": "${[1, 2, 3]}"}},
        "publish": {**_TASK, "needs": ["transform"]},
    }
    flaky = {"load": sh("exit 3", retry={"limit": 1, "backoff": {"initialSeconds": 1}})}
    return [
        {
            "apiVersion": "fairlead.dev/v1alpha1",
            "kind": "WorkflowTemplate",
            "metadata": {"name": name},
            "spec": {"tasks": [{"name": task, **fields} for task, fields in tasks.items()]},
        }
        for name, tasks in (("daily", daily), ("flaky", flaky))
    ]
