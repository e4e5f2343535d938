"""Faults of objects: what people and controllers do to the pods of a run while they run."""

from __future__ import annotations

import json
from collections.abc import Callable

from e2e.chaos.judge import Costs
from e2e.chaos.scene import Scene
from e2e.chaos.trial import Trial
from e2e.chaos.workload import layers, victims
from fairlead.api.labels import RUN_UID

__all__ = ["evicted", "finalizer_stripped", "force_deleted", "label_stripped"]


def evicted(trial: Trial) -> None:
    """Pods are evicted through the eviction API, which costs each of them an attempt of its infrastructure budget."""
    scene = _scene(trial, 3)
    for number in range(3):
        pod = scene.running_pod("victims", f"victim{number}")
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        path = f"/api/v1/namespaces/{scene.namespace}/pods/{pod}/eviction"
        trial.cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
        trial.struck(f"{pod} is evicted")
    trial.settle(scene, _one_each(3))


def force_deleted(trial: Trial) -> None:
    """Pods are deleted by force: once held by our finalizer, once with that taken off, and once while nobody looks."""
    scene = _scene(trial, 3)
    # Who takes a pod away before there is any record of it takes away what would tell that there was one.
    pods = [scene.recorded_pod("victims", f"victim{number}") for number in range(3)]
    _delete_by_force(scene, pods[0])
    trial.struck(f"{pods[0]} is deleted by force")
    _strip_finalizer(scene, pods[1])
    _delete_by_force(scene, pods[1])
    trial.struck(f"{pods[1]} is deleted by force, and its finalizer taken off")
    (keeper,) = scene.keepers
    keeper.kill()
    _strip_finalizer(scene, pods[2])
    _delete_by_force(scene, pods[2])
    trial.struck(f"{pods[2]} as well, while no operator runs")
    keeper.start()
    trial.settle(scene, _one_each(3))


def finalizer_stripped(trial: Trial) -> None:
    """Our finalizer is taken off pods that run: with an operator, and while none runs. It costs nobody an attempt."""
    scene, _ = _stripped(trial, "finalizer", _strip_finalizer, 10)  # the last one ends meanwhile
    trial.settle(scene)


def label_stripped(trial: Trial) -> None:
    """The label by which we watch is taken off pods that run: with an operator, and while none runs."""
    scene, pod = _stripped(trial, "label", _strip_label, 3)
    scene.until("its label to be back", lambda: _labelled(scene, pod), 90)
    trial.settle(scene)


def _scene(trial: Trial, count: int) -> Scene:
    keeper = trial.keeper()
    scene = trial.scene(keeper)
    keeper.start()
    scene.play([victims("victims", count)])
    return scene


def _one_each(count: int) -> Costs:
    victims = {f"victim{number}" for number in range(count)}
    return lambda run, node: range(1, 2) if node in victims else range(1)


def _delete_by_force(scene: Scene, pod: str) -> None:
    arguments = ("--force", "--grace-period=0", "--wait=false", "--ignore-not-found")
    scene.workflows.kubectl("delete", "pod", pod, *arguments)


def _stripped(trial: Trial, what: str, strip: Callable[[Scene, str], None], pause: float) -> tuple[Scene, str]:
    """Take something off two pods that run, and off one more while no operator does, for a while; return that one."""
    keeper = trial.keeper()
    scene = trial.scene(keeper)
    keeper.start()
    scene.play([layers("stripped", 3, seconds=8, flaky=False)])
    for number in range(2):
        pod = scene.running_pod("stripped", f"l0-{number}")
        strip(scene, pod)
        trial.struck(f"the {what} of {pod} is taken off")
    pod = scene.running_pod("stripped", "l1-0")
    keeper.kill()
    strip(scene, pod)
    trial.struck(f"the {what} of {pod} is taken off while no operator runs")
    scene.pause(pause)
    keeper.start()
    return scene, pod


def _strip_finalizer(scene: Scene, pod: str) -> None:
    scene.workflows.kubectl("patch", "pod", pod, "--type=merge", "-p", json.dumps({"metadata": {"finalizers": None}}))


def _strip_label(scene: Scene, pod: str) -> None:
    scene.workflows.kubectl("label", "pod", pod, f"{RUN_UID}-")


def _labelled(scene: Scene, pod: str) -> bool:
    return RUN_UID in scene.get(pod, "pods")["metadata"].get("labels", {})
