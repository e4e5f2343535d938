"""What goes wrong elsewhere than on the way: with the operator's process, with nodes and pods, by people.

Each mishap is one function: it does its harm to a :class:`Cluster` and, where that does not last for ever, undoes it
later. It returns whether it has struck: False where there is nothing that it could harm just now, and where it lies in
wait. What lies in wait tells `Harm.struck` once it has had its effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from datetime import timedelta
from random import Random
from typing import Any

from fairlead.api import labels
from fairlead.kube.resources import PODS, WORKFLOWACTIONS, WORKFLOWS, ObjectKey

from .apiserver import Request
from .cluster import Cluster
from .faults import Fault
from .network import Passage, Stream
from .storm import Storm

__all__ = ["MISHAPS", "Harm"]

JsonObject = dict[str, Any]


class Harm:
    """What mishaps may harm, and what they have. `struck` is told of each that has lain in wait, at its effect.

    Attributes:
        touched: pods whose end may not be what their program says, by name.
    """

    def __init__(
        self, cluster: Cluster, storm: Storm, random: Random, struck: Callable[[Fault], None] = lambda _: None
    ) -> None:
        self.struck = struck
        self.cluster = cluster
        self.storm = storm
        self.random = random
        self.touched: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._context = copy_context()  # of nobody's process: what is to be undone outlives the operator

    def later(self, seconds: float, undo: Callable[[], object]) -> None:
        """Undo something after a while."""

        async def wait() -> None:
            await asyncio.sleep(seconds)
            undo()

        self.spawn(wait())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something happen beside all else."""
        task = asyncio.get_running_loop().create_task(work, context=self._context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until everything that does not last is undone."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def pod(self, wanted: Callable[[JsonObject], bool] = lambda _: True, *, touches: bool = True) -> JsonObject | None:
        """Return one of the operator's pods that are not over; note that it is touched, unless it stays as it is."""
        ours = [pod for pod in self.cluster.list(PODS) if labels.RUN_UID in _labels(pod) and _lives(pod)]
        found = sorted(pod["metadata"]["name"] for pod in ours if wanted(pod))
        if not found:
            return None
        name = self.random.choice(found)
        if touches:
            self.touched.add(name)
        return next(pod for pod in ours if pod["metadata"]["name"] == name)


def _labels(pod: JsonObject) -> JsonObject:
    found: JsonObject = pod["metadata"].get("labels") or {}
    return found


def _lives(pod: JsonObject) -> bool:
    return (
        pod.get("status", {}).get("phase") not in ("Succeeded", "Failed") and "deletionTimestamp" not in pod["metadata"]
    )


# -- the operator's process


def crash(harm: Harm) -> bool:
    """Kill an operator; it is started again after some seconds."""
    host = next((host for host in harm.cluster.hosts if host.alive), None)
    if host is None:
        return False
    host.crash()
    harm.later(_until_restart(harm), lambda: None if host.alive else host.start())
    return True


def _until_restart(harm: Harm) -> float:
    return harm.random.choice((0.1, 0.5, 2.0, 20.0))


def crash_before_write(harm: Harm) -> bool:
    """Kill the operator the moment it is about to write: that write never leaves."""
    return _crash_at_write(harm, Fault.CRASH_BEFORE_WRITE, lost=True)


def crash_after_write(harm: Harm) -> bool:
    """Kill the operator when it has written, before it knows."""
    return _crash_at_write(harm, Fault.CRASH_AFTER_WRITE, lost=False)


def _crash_at_write(harm: Harm, fault: Fault, *, lost: bool) -> bool:
    storm = harm.storm
    if storm.trap is not None:
        return False

    def trap(sender: str, request: Request) -> Passage | None:
        if request.method == "GET" or "/events" in request.path:
            return None
        storm.trap = None
        harm.struck(fault)
        host = next(host for host in harm.cluster.hosts if host.name == sender)
        harm.later(0.002, lambda: host.crash() if host.alive else None)
        harm.later(0.01 + _until_restart(harm), lambda: None if host.alive else host.start())
        return Passage(lost=True) if lost else Passage(out=0.001, unanswered=True)

    storm.trap = trap
    return False


def sigterm(harm: Harm) -> bool:
    """Tell an operator to end, and start it again."""
    host = next((host for host in harm.cluster.hosts if host.alive and host.is_ready), None)
    if host is None:
        return False

    async def end() -> None:
        await host.stop()
        await asyncio.sleep(_until_restart(harm))
        if not host.alive:
            host.start()

    harm.spawn(end())
    return True


#: How many of those that are held up are stood in for.
_STAND_INS = 0.9

#: For how long one that wakes up does not hear that it was evicted.
_TOLD_LATE_SECONDS = 8.0


def paused(harm: Harm) -> bool:
    """Hold an operator up for a while.

    With Leases, another one may take over what it has meanwhile. When it wakes up, it is told late that this is so.
    """
    host = next((host for host in harm.cluster.hosts if host.alive and not host.paused), None)
    if host is None:
        return False
    host.pause()
    # Not for much longer than it takes to evict it: the run is to be under way still when it wakes up.
    seconds = harm.random.choice((2, 15, 15, 240) if harm.cluster.leases else (2, 20, 240))
    harm.later(seconds, host.resume)
    if harm.cluster.leases and seconds > 2 and harm.random.random() < _STAND_INS:
        _start_another(harm, seconds + harm.random.choice((-5, 30, 200)))
        harm.storm.cut_off_from_leases.add(host.name)
        harm.later(seconds + _TOLD_LATE_SECONDS, lambda: harm.storm.cut_off_from_leases.discard(host.name))
    return True


def two_operators(harm: Harm) -> bool:
    """Start a second operator, which is killed after a while."""
    return _start_another(harm, harm.random.choice((5, 30, 200)))


def _start_another(harm: Harm, seconds: float) -> bool:
    hosts = harm.cluster.hosts
    other = hosts[1] if len(hosts) > 1 else harm.cluster.host("operator-2")
    if other.alive:
        return False
    other.start()
    harm.later(seconds, lambda: other.crash() if other.alive else None)
    return True


def clock_skew(harm: Harm) -> bool:
    """Set the operator's clock wrong, for good."""
    alive = [host for host in harm.cluster.hosts if host.alive]
    if not alive:
        return False
    host = harm.random.choice(alive)
    host.skew = timedelta(seconds=harm.random.uniform(-20, 20))
    return True


# -- watches and the API server


def watch_closed(harm: Harm) -> bool:
    """Let the server close a watch, as it does to one that is too slow."""
    return _to_a_watch(harm, Stream.end)


def watch_cut(harm: Harm) -> bool:
    """Break the connection of a watch."""
    return _to_a_watch(harm, Stream.cut)


def _to_a_watch(harm: Harm, what: Callable[[Stream], None]) -> bool:
    streams = harm.cluster.network.streams
    if not streams:
        return False
    what(harm.random.choice(streams))
    return True


def compacted(harm: Harm) -> bool:
    """Close a watch, and forget the history just before one is to go on from it.

    When a moment is as good as any other, mostly no watch would miss anything, and none would be told so.
    """
    harm.storm.forgets = watch_cut(harm) or harm.storm.forgets
    return False


def api_restart(harm: Harm) -> bool:
    """Break every connection, and answer nobody for a while."""
    for stream in list(harm.cluster.network.streams):
        stream.cut()
    harm.storm.down = True
    harm.cluster.server.compact(harm.random.randrange(10))

    def up() -> None:
        harm.storm.down = False

    harm.later(harm.random.uniform(1, 40), up)
    return True


# -- pods and nodes


def unschedulable(harm: Harm) -> bool:
    """Let no pod be placed for a while."""
    nodes = harm.cluster.nodes
    if not nodes.accepts:
        return False
    nodes.set_accepts(False)
    if nodes.waits():
        harm.struck(Fault.UNSCHEDULABLE)
    nodes.refused = lambda: harm.struck(Fault.UNSCHEDULABLE)
    harm.later(harm.random.choice((2, 10, 60)), lambda: nodes.set_accepts(True))
    return False


def evicted(harm: Harm) -> bool:
    """Evict a pod through the eviction API."""
    pod = harm.pod(_placed)
    if pod is None:
        return False
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": _named(pod)}
    answer = harm.cluster.ask("POST", PODS.path(*_address(pod), "eviction"), eviction, {"User-Agent": "drain"})
    return answer.code < 300


def preempted(harm: Harm) -> bool:
    """Preempt a pod, as the scheduler does."""
    pod = harm.pod(_placed)
    if pod is None:
        return False
    _disrupt(harm, pod, "PreemptionByScheduler")
    _delete(harm, pod)
    return True


def deleted(harm: Harm) -> bool:
    """Delete a pod, as a person does."""
    pod = harm.pod()
    if pod is None:
        return False
    _delete(harm, pod)
    return True


def force_deleted(harm: Harm) -> bool:
    """Delete a pod at once, whatever its node thinks of it."""
    pod = harm.pod()
    if pod is None:
        return False
    _delete(harm, pod, gracePeriodSeconds=0)
    return True


def node_down(harm: Harm) -> bool:
    """Switch a node off for a while; its pods stay."""
    node = _a_node(harm)
    if not node:
        return False
    harm.cluster.nodes.set_down(node, down=True)
    harm.later(harm.random.choice((2, 10, 60)), lambda: harm.cluster.nodes.set_down(node, down=False))
    return True


def node_lost(harm: Harm) -> bool:
    """Lose a node: its pods are given up by the cluster."""
    node = _a_node(harm)
    if not node:
        return False
    nodes = harm.cluster.nodes
    nodes.set_down(node, down=True)
    here = [pod for pod in harm.cluster.list(PODS) if nodes.node_of(ObjectKey(*_address(pod))) == node]
    harm.touched |= {pod["metadata"]["name"] for pod in here}

    def give_up() -> None:
        for pod in here:
            if harm.cluster.get(PODS, *reversed(_address(pod))) and _lives(pod):
                _disrupt(harm, pod, "DeletionByPodGC", phase="Failed")
                _delete(harm, pod, gracePeriodSeconds=0)

    harm.later(harm.random.uniform(1, 40), give_up)
    harm.later(60, lambda: nodes.set_down(node, down=False))
    return True


def label_stripped(harm: Harm) -> bool:
    """Take the label by which the operator watches off a pod."""
    return _strip(harm, {"labels": {labels.RUN_UID: None}})


def finalizer_stripped(harm: Harm) -> bool:
    """Take the finalizer off a pod."""
    return _strip(harm, {"finalizers": None})


def foreign_pod(harm: Harm) -> bool:
    """Create a pod that looks like one of the operator's, and is not."""
    pod = harm.pod(touches=False)
    if pod is None:
        return False
    name = f"foreign-{harm.random.randrange(10**6)}"
    body = {"metadata": {"name": name, "labels": _labels(pod), "annotations": pod["metadata"].get("annotations", {})}}
    harm.cluster.put(PODS, {**body, "spec": {"containers": [{"name": "main", "image": "i"}]}}, _address(pod)[0])
    return True


# -- people


def suspend_race(harm: Harm) -> bool:
    """Suspend a run, and resume it; one that is suspended is resumed, and suspended again at once."""
    run = _a_run(harm)
    if run is None:
        return False
    namespace, name = _address(run)

    def suspend(value: bool) -> None:
        harm.cluster.patch(WORKFLOWS, name, {"spec": {"suspend": value}}, namespace)

    if run["spec"].get("suspend"):
        suspend(False)
        suspend(True)
        return True
    suspend(True)
    harm.later(harm.random.choice([0.01, 1, 5, 20]), lambda: suspend(False))
    return True


def action_spam(harm: Harm) -> bool:
    """Ask again and again for what cannot be."""
    run = _a_run(harm)
    if run is None:
        return False
    namespace, name = _address(run)
    for _ in range(3):
        spec = {"workflowName": name, "workflowUID": run["metadata"]["uid"], "action": "Clear", "tasks": ["nobody"]}
        action = {"metadata": {"name": f"spam-{harm.random.randrange(10**9)}"}, "spec": spec}
        harm.cluster.put(WORKFLOWACTIONS, action, namespace)
    return True


def edited(harm: Harm) -> bool:
    """Write a label and an annotation to the Workflow."""
    run = _a_run(harm)
    if run is None:
        return False
    namespace, name = _address(run)
    value = {"note": str(harm.random.randrange(10**6))}
    harm.cluster.patch(WORKFLOWS, name, {"metadata": {"labels": value, "annotations": value}}, namespace)
    return True


def _strip(harm: Harm, metadata: JsonObject) -> bool:
    pod = harm.pod(touches=False)  # how it ends does not change
    if pod is None:
        return False
    namespace, name = _address(pod)
    harm.cluster.patch(PODS, name, {"metadata": metadata}, namespace)
    return True


def _a_run(harm: Harm) -> JsonObject | None:
    runs = [run for run in harm.cluster.list(WORKFLOWS) if not run["metadata"].get("ownerReferences")]
    return harm.random.choice(runs) if runs else None


def _a_node(harm: Harm) -> str:
    nodes = harm.cluster.nodes
    busy = sorted({nodes.node_of(key) for key in nodes.live()} - nodes.down)
    return harm.random.choice(busy) if busy else ""


def _placed(pod: JsonObject) -> bool:
    return bool(pod.get("spec", {}).get("nodeName"))


def _address(obj: JsonObject) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _named(obj: JsonObject) -> JsonObject:
    namespace, name = _address(obj)
    return {"namespace": namespace, "name": name}


def _disrupt(harm: Harm, pod: JsonObject, reason: str, **status: Any) -> None:
    namespace, name = _address(pod)
    moment = harm.cluster.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "lastTransitionTime": moment}
    body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": {"conditions": [condition], **status}}
    headers = {"Content-Type": "application/strategic-merge-patch+json", "User-Agent": "controller-manager"}
    harm.cluster.ask("PATCH", PODS.path(namespace, name, "status"), body, headers)


def _delete(harm: Harm, pod: JsonObject, **options: Any) -> None:
    namespace, name = _address(pod)
    harm.cluster.delete(PODS, name, namespace, preconditions={"uid": pod["metadata"]["uid"]}, **options)


#: What does each harm that is not of the weather.
MISHAPS: dict[Fault, Callable[[Harm], bool]] = {
    Fault.CRASH: crash,
    Fault.CRASH_BEFORE_WRITE: crash_before_write,
    Fault.CRASH_AFTER_WRITE: crash_after_write,
    Fault.SIGTERM: sigterm,
    Fault.PAUSED: paused,
    Fault.TWO_OPERATORS: two_operators,
    Fault.CLOCK_SKEW: clock_skew,
    Fault.WATCH_CLOSED: watch_closed,
    Fault.WATCH_CUT: watch_cut,
    Fault.COMPACTED: compacted,
    Fault.API_RESTART: api_restart,
    Fault.UNSCHEDULABLE: unschedulable,
    Fault.EVICTED: evicted,
    Fault.PREEMPTED: preempted,
    Fault.DELETED: deleted,
    Fault.FORCE_DELETED: force_deleted,
    Fault.NODE_DOWN: node_down,
    Fault.NODE_LOST: node_lost,
    Fault.LABEL_STRIPPED: label_stripped,
    Fault.FINALIZER_STRIPPED: finalizer_stripped,
    Fault.FOREIGN_POD: foreign_pod,
    Fault.SUSPEND_RACE: suspend_race,
    Fault.ACTION_SPAM: action_spam,
    Fault.EDITED: edited,
}
