"""Faults of the control plane and of the node: the API server restarts, etcd stands still, the node is lost."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from e2e.chaos.effects import Span, hung
from e2e.chaos.scene import Scene, say
from e2e.chaos.trial import Trial
from e2e.chaos.workload import layers, mixed
from e2e.devcluster.state import NODE_NAME

__all__ = ["apiserver_restarts", "etcd_paused", "node_lost"]

_PAUSE_SECONDS = 20.0

#: A write that takes so long was held up by the pause.
_HUNG_SECONDS = _PAUSE_SECONDS / 2


def apiserver_restarts(trial: Trial) -> None:
    """The API server is stopped, or killed, and started again."""
    keeper = trial.keeper()
    scene = trial.scene(keeper)
    keeper.start()
    scene.play(mixed(depth=10))
    outages: list[Span] = []
    for kill in (False, True, True):
        scene.pause(trial.chosen.uniform(4, 8))
        how = "killed" if kill else "restarted"
        trial.struck(f"the API server is {how} ({scene.progress()})")
        outages.append(trial.machine.restart("apiserver", kill=kill))
    trial.settle(scene, outages=outages)


def etcd_paused(trial: Trial) -> None:
    """The etcd gets no time for 20 seconds: requests hang, and some of them take effect after all."""
    keeper = trial.keeper()
    scene = trial.scene(keeper)
    keeper.start()
    scene.play(mixed(depth=10))
    pauses: list[Span] = []
    for _ in range(2):
        scene.pause(trial.chosen.uniform(4, 8))
        trial.struck(f"etcd stands still for {_PAUSE_SECONDS:.0f} s ({scene.progress()})")
        begin = datetime.now(UTC)
        with trial.machine.paused("etcd"):
            deadline = time.monotonic() + _PAUSE_SECONDS
            while time.monotonic() < deadline:
                keeper.tend()
                time.sleep(0.5)
        pauses.append((begin, datetime.now(UTC)))
    trial.settle(scene)
    # Not before the end: what hangs is in the log once it is answered.
    entries = scene.audit.all_of(scene.namespace)
    for pause in pauses:
        count = hung(entries, pause, _HUNG_SECONDS)
        say(f"{trial.row.fault}: {count} writes of the operator hung at {pause[0]:%H:%M:%S}")
        trial.check(count, f"no write of the operator hung at {pause[0]:%H:%M:%S}: it proves nothing")


def node_lost(trial: Trial) -> None:
    """The kubelet is killed and comes back, which costs nobody anything; then its node is removed with all its pods."""
    keeper = trial.keeper()
    scene = trial.scene(keeper)
    keeper.start()
    scene.play([layers("lost", 5, seconds=6, flaky=False)])
    scene.running_pod("lost", "l0-0")
    try:
        trial.machine.kill("kubelet")
        trial.struck("the kubelet is killed")
        scene.pause(5)
        trial.machine.restart("kubelet")
        trial.machine.wait_node()
        say(f"{trial.row.fault}: the kubelet was started again")
        scene.running_pod("lost", "l2-0")
        trial.machine.kill("kubelet")
        trial.cluster.kubectl("delete", "node", NODE_NAME)
        trial.struck(f"the kubelet is killed and its node removed ({scene.progress()})")
        scene.until("the pods of the node to be given up", lambda: _given_up(scene), 150)
        say(f"{trial.row.fault}: its pods were given up")
    finally:
        trial.machine.restart("kubelet")
        trial.machine.wait_node()
    say(f"{trial.row.fault}: the node is back")
    # Which pods were on the node at that moment, nobody can say beforehand: a layer's, each of them once.
    lost = trial.settle(scene, costs=lambda run, node: range(2))
    trial.check(sum(lost.values()), "the loss of the node cost nobody an attempt: it proves nothing")
    trial.check(sum(lost.values()) <= 3, f"the loss of the node cost more than a layer: {dict(lost)}")


def _given_up(scene: Scene) -> bool:
    """Tell whether the operator knows of an attempt that the node's loss ended."""
    entries = scene.entries(scene.get("lost"))
    attempts = [attempt for entry in entries.values() for attempt in entry.get("attempts", ())]
    return any(attempt.get("class") == "Infrastructure" for attempt in attempts)
