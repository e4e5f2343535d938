"""The nodes of a cluster in memory: pods are placed, run what the test's program says, and end, or are ended.

One task for each pod plays scheduler and kubelet for it, as the Pod lifecycle page of the Kubernetes documentation has
it: bound, running, terminal; a pod that is being deleted is killed, reported, and only then let go. A node may be down:
nothing on it is reported until it is up again, or until the cluster gives its pods up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from fairlead.kube.resources import PODS, ObjectKey

from .apiserver.exchange import Answer, Request
from .apiserver.server import ApiServer
from .apiserver.store import Change

__all__ = ["Act", "Nodes", "Program"]

JsonObject = dict[str, Any]

_KUBELET = {"User-Agent": "kubelet", "Content-Type": "application/strategic-merge-patch+json"}
_KILLED = 137


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a pod does: it runs for some seconds and ends with an exit code and a termination message.

    Attributes:
        seconds: None runs until somebody ends it.
        exit_code: of the main container.
        message: its termination message.
        reason: of its end, such as `OOMKilled`; by default what the kubelet calls the exit code.
        waiting: a reason for which the main container never starts, such as `ImagePullBackOff`.
        evicted: its node evicts it in the end.
        fits: whether any node would have it.
        lingers: seconds that it takes to end when it is told to.
        hurries: when it is told to, it comes to its own end in that time, with its own exit code and message.
    """

    seconds: float | None = 1.0
    exit_code: int = 0
    message: str = ""
    reason: str = ""
    waiting: str = ""
    evicted: bool = False
    fits: bool = True
    lingers: float = 0.0
    hurries: bool = False


#: Says what a pod does, given the pod.
Program = Callable[[Mapping[str, Any]], Act]


@dataclass(eq=False)
class _Pod:
    """One pod as its node knows it."""

    key: ObjectKey
    uid: str
    node: str = ""
    deleting: bool = False
    forced: bool = False
    gone: bool = False
    fits: bool = True

    @property
    def leaving(self) -> bool:
        """Whether it has to go, or is gone."""
        return self.deleting or self.gone

    def __post_init__(self) -> None:
        self.stirred = asyncio.Event()


class Nodes:
    """All nodes; `pace` gives the seconds that a step of a node takes, `now` the true time.

    Attributes:
        down: nodes that do not answer.
        accepts: whether pods are placed at all.
        refused: is told of each new pod that is not placed for that.
    """

    def __init__(
        self,
        server: ApiServer,
        program: Program,
        now: Callable[[], datetime],
        pace: Callable[[], float],
        names: tuple[str, ...] = ("node-1", "node-2", "node-3"),
    ) -> None:
        self.down: set[str] = set()
        self.accepts = True
        self.refused: Callable[[], None] | None = None
        self._server = server
        self._program = program
        self._now = now
        self._pace = pace
        self._names = names
        self._pods: dict[str, _Pod] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._context = copy_context()
        self._stirred = asyncio.Event()
        self._placed = 0
        server.listeners.append(self._changed)

    # -- what may be done to them

    def set_down(self, node: str, down: bool) -> None:
        """Switch a node off, or on again."""
        (self.down.add if down else self.down.discard)(node)
        self._stir()

    def set_accepts(self, accepts: bool) -> None:
        """Let no pod be placed, or let them be placed again."""
        self.accepts = accepts
        self.refused = None
        self._stir()

    def waits(self) -> bool:
        """Tell whether there is a pod that could be placed, and is not."""
        return any(pod.fits and not pod.node and not pod.leaving for pod in self._pods.values())

    def live(self) -> list[ObjectKey]:
        """Return the pods that are on a node and not over."""
        return [pod.key for pod in self._pods.values() if pod.node and not pod.gone]

    def node_of(self, key: ObjectKey) -> str:
        """Return where a pod is, or ""."""
        return next((pod.node for pod in self._pods.values() if pod.key == key), "")

    # -- how a pod lives

    def _changed(self, change: Change) -> None:
        if change.resource != PODS.plural:
            return
        pod = self._pods.get(change.uid)
        if change.verb == "create":
            pod = self._pods[change.uid] = _Pod(change.key, change.uid)
            # Not in the context of who created the pod: an operator's tasks end with it.
            task = asyncio.get_running_loop().create_task(self._live(pod), context=self._context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif pod is None:
            return
        elif change.verb == "delete":
            pod.gone = True
            pod.stirred.set()
            del self._pods[change.uid]
        elif "deletionTimestamp" in change.after["metadata"] and not pod.deleting:
            pod.deleting = True
            pod.forced = change.after["metadata"].get("deletionGracePeriodSeconds") == 0
            pod.stirred.set()

    async def _live(self, pod: _Pod) -> None:
        found = self._read(pod)
        if found.get("status", {}).get("phase") in ("Succeeded", "Failed"):  # as a backup has it
            pod.node = found["spec"].get("nodeName", "")
            await self._leave(pod)
            return
        act = self._program(found)
        pod.fits = act.fits
        if act.fits and not self.accepts and self.refused is not None:
            self.refused()
        if not act.fits:
            self._report_unplaced(pod)
        await self._until(pod, lambda: self.accepts and act.fits)
        if pod.leaving:
            return  # the API server lets an unplaced pod go by itself
        pod.node = found["spec"].get("nodeName", "")
        if not pod.node:
            await self._place(pod)
        await self._step(pod)
        if not pod.leaving and not act.waiting:
            started = self._now()
            self._report(pod, "Running", {"running": {"startedAt": _text(started)}})
            await self._run(pod, act.seconds)
            await asyncio.sleep(act.lingers if pod.deleting and not pod.forced else 0)
            await self._until(pod, lambda: pod.node not in self.down, deleting=False)
            if not pod.gone:
                self._end(pod, act, started, killed=pod.deleting and not self._ends_well(pod, act, started))
        elif not pod.leaving:
            self._report(pod, "Pending", {"waiting": {"reason": act.waiting, "message": "it never comes"}})
        await self._leave(pod)

    async def _place(self, pod: _Pod) -> None:
        await asyncio.sleep(self._pace())
        self._placed += 1
        up = [name for name in self._names if name not in self.down] or list(self._names)
        pod.node = up[self._placed % len(up)]
        body = {"apiVersion": "v1", "kind": "Binding", "target": {"kind": "Node", "name": pod.node}}
        answer = self._ask(
            "POST", PODS.path(pod.key.namespace, pod.key.name, "binding"), body, {"User-Agent": "scheduler"}
        )
        if answer.code >= 300:
            pod.node = ""

    async def _run(self, pod: _Pod, seconds: float | None) -> None:
        """Wait until the program has ended, or the pod is to go."""
        try:
            async with asyncio.timeout(seconds):
                await self._until(pod, lambda: False)
        except TimeoutError:
            pass

    def _is_over(self, act: Act, started: datetime) -> bool:
        return act.seconds is not None and (self._now() - started).total_seconds() >= act.seconds

    def _ends_well(self, pod: _Pod, act: Act, started: datetime) -> bool:
        """Tell whether the program of a pod that is to go comes to its own end: it gets no time if forced."""
        return (act.hurries and not pod.forced) or self._is_over(act, started)

    def _end(self, pod: _Pod, act: Act, started: datetime, *, killed: bool) -> None:
        code = _KILLED if killed or act.evicted else act.exit_code
        state = {
            "exitCode": code,
            "startedAt": _text(started),
            "finishedAt": _text(self._now()),
            "reason": (not killed and act.reason) or ("Error" if code else "Completed"),
            "message": "" if killed else act.message,
        }
        evicted = {"reason": "Evicted", "conditions": [self._disrupted()]} if act.evicted and not killed else {}
        self._report(pod, "Failed" if code else "Succeeded", {"terminated": state}, **evicted)

    def _disrupted(self) -> JsonObject:
        moment = _text(self._now())
        reason = "TerminationByKubelet"
        return {"type": "DisruptionTarget", "status": "True", "reason": reason, "lastTransitionTime": moment}

    async def _leave(self, pod: _Pod) -> None:
        """Let a pod go once it is being deleted and its node is there to do it."""
        await self._until(pod, lambda: False)
        await self._until(pod, lambda: pod.node not in self.down, deleting=False)
        await asyncio.sleep(self._pace())
        if pod.uid not in self._pods:
            return
        if self._read(pod).get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            self._report(pod, "Failed", {"terminated": {"exitCode": _KILLED, "finishedAt": _text(self._now())}})
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        self._ask("DELETE", self._path(pod), options | {"preconditions": {"uid": pod.uid}}, _KUBELET)

    async def _step(self, pod: _Pod) -> None:
        await asyncio.sleep(self._pace())
        await self._until(pod, lambda: pod.node not in self.down)

    async def _until(self, pod: _Pod, reached: Callable[[], bool], *, deleting: bool = True) -> None:
        """Wait until something is so; or until the pod is gone, or (if `deleting`) has to go."""
        while not (reached() or pod.gone or (deleting and pod.deleting)):
            pod.stirred.clear()
            await pod.stirred.wait()

    def _stir(self) -> None:
        for pod in self._pods.values():
            pod.stirred.set()

    # -- what a kubelet tells

    def _report_unplaced(self, pod: _Pod) -> None:
        moment = _text(self._now())
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": moment}
        body = {"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}}
        self._ask("PATCH", self._path(pod, "status"), body, _KUBELET)

    def _report(self, pod: _Pod, phase: str, state: JsonObject, **more: Any) -> None:
        moment = _text(self._now())
        placed = {"type": "PodScheduled", "status": "True", "lastTransitionTime": moment}
        status: JsonObject = {"phase": phase, "containerStatuses": [{"name": "main", "state": state}], **more}
        if phase != "Failed":
            status["conditions"] = [placed]
        self._ask("PATCH", self._path(pod, "status"), {"metadata": {"uid": pod.uid}, "status": status}, _KUBELET)

    def _read(self, pod: _Pod) -> Mapping[str, Any]:
        answer = self._ask("GET", self._path(pod), None, _KUBELET)
        assert answer.code == 200, answer
        return answer.body

    def _path(self, pod: _Pod, subresource: str | None = None) -> str:
        return PODS.path(pod.key.namespace, pod.key.name, subresource)

    def _ask(self, method: str, path: str, body: JsonObject | None, headers: Mapping[str, str]) -> Answer:
        data = b"" if body is None else orjson.dumps(body)
        return self._server.handle(Request(method=method, path=path, headers=headers, body=data))


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
