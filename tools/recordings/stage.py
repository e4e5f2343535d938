"""Where scenes are played: a cluster in memory with one operator, and what people do there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.api import labels
from fairlead.kube.resources import WORKFLOWACTIONS, WORKFLOWS, WORKFLOWTEMPLATES, Resource
from fairlead.testing.cluster import Cluster
from fairlead.testing.nodes import Act

__all__ = ["RUN", "TASKS", "TEMPLATE", "Scene", "Stage", "act", "task"]

_Object = dict[str, Any]

RUN = "daily-sales"
TEMPLATE = "sales"


@dataclass(frozen=True, slots=True)
class Stage:
    """A cluster with one operator, which may not be at work yet, and what people do there."""

    cluster: Cluster

    def workflow(self, name: str = RUN, **spec: Any) -> _Object:
        """Create a Workflow."""
        return self.cluster.put(WORKFLOWS, {"metadata": {"name": name}, "spec": spec}, "default")

    def template(self, **spec: Any) -> _Object:
        """Create the WorkflowTemplate."""
        return self.cluster.put(WORKFLOWTEMPLATES, {"metadata": {"name": TEMPLATE}, "spec": spec}, "default")

    def start(self) -> None:
        """Let the operator begin its work."""
        self.cluster.host().start()

    def ask(self, action: str, uid: str = "", **fields: Any) -> _Object:
        """Ask something of the run."""
        about = uid or self.cluster.get(WORKFLOWS, RUN)["metadata"]["uid"]
        spec = {"workflowName": RUN, "workflowUID": about, "action": action, "requestedBy": {"username": "ann"}}
        body = {"metadata": {"name": f"{RUN}-{action.lower()}"}, "spec": {**spec, **fields}}
        return self.cluster.put(WORKFLOWACTIONS, body, "default")

    def change(self, **spec: Any) -> None:
        """Change fields of the run's spec."""
        assert self.cluster.patch(WORKFLOWS, RUN, {"spec": spec}).code == 200, "the change is allowed"

    def read(self, resource: Resource = WORKFLOWS, name: str = RUN) -> _Object:
        """Return an object as it is now."""
        return self.cluster.get(resource, name)

    def says(self, kind: str, value: str = "True", resource: Resource = WORKFLOWS, name: str = RUN) -> bool:
        """Tell whether a condition of an object has a value."""
        conditions = self.read(resource, name).get("status", {}).get("conditions", ())
        return any((each["type"], each["status"]) == (kind, value) for each in conditions)

    async def until(self, reached: Callable[[], bool], seconds: float = 600) -> None:
        """Wait until something is so."""
        assert await self.cluster.until(reached, seconds), "the scene comes to its point"

    async def running(self, name: str = RUN) -> None:
        """Wait until something of a run is at work."""
        await self.until(lambda: self.read(WORKFLOWS, name).get("status", {}).get("counts", {}).get("running", 0) > 0)

    async def finished(self) -> None:
        """Wait until the run is over."""
        await self.until(lambda: self.says("Finished"))

    async def blocked(self) -> None:
        """Wait until the run says that it is stalled."""
        await self.until(lambda: self.says("Stalled"))


Scene = Callable[[Stage], Awaitable[Resource]]


def task(name: str, *needs: str, **fields: Any) -> _Object:
    """Return a task, by default one that is a pod."""
    fields.setdefault("container", {"image": "busybox:1.36"})
    return {"name": name, **({"needs": list(needs)} if needs else {}), **fields}


TASKS = [task("extract"), task("report", "extract")]


def act(pod: Mapping[str, Any]) -> Act:
    """What pods do: those of tasks called `bad…` fail, those of `long…` run until they are ended."""
    name = pod["metadata"]["labels"].get(labels.TASK, "")
    return Act(seconds=None if name.startswith("long") else 5, exit_code=3 if name.startswith("bad") else 0)
