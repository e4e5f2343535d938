"""One simulated run: a scenario, the shipped operator, a cluster in memory, and what goes wrong meanwhile.

Whoever knows :class:`Player` knows this one: it has the same surface, so that `tests.property.differential` compares
its run with the reference interpreter as it does those of the bare engine. But here the run is what the operator has
persisted, and everything is done through the API server.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar

from tests.property.player import Player
from tests.property.script import End, Way
from tests.property.watching import Disagreement
from tests.sim.asked import LONG_SECONDS
from tests.sim.calm import Calm
from tests.sim.clocks import KILLED_AFTER, LASTS, RUNS, act_of, late, wind_up
from tests.sim.lost import spent_children, succeeded_pods
from tests.sim.plot import Plot
from tests.sim.scripts import CHILD, as_played, spec_of
from tests.sim.states import State, states_of
from tests.sim.vault import CANARIES, Vault

from fairlead.api import labels
from fairlead.api.shard import read_tasks
from fairlead.controllers.reading import Record, state_of
from fairlead.engine.model import ActionKind, FailureClass, Settings, StopMode
from fairlead.engine.state import ActionRecord, RunState
from fairlead.kube.resources import TASKSTATUSSHARDS, WORKFLOWACTIONS, WORKFLOWS, WORKFLOWTEMPLATES
from fairlead.testing.apiserver import Answer, Request
from fairlead.testing.cluster import START, Cluster
from fairlead.testing.faults import Fault
from fairlead.testing.invariants import Watchman
from fairlead.testing.loop import VirtualLoop
from fairlead.testing.mishaps import MISHAPS, Harm
from fairlead.testing.nodes import Act
from fairlead.testing.storm import CHANCES, Storm

__all__ = ["NAME", "Simulation"]

#: The name of the run, and of its namespace.
NAME, NAMESPACE = "daily", "default"

#: Virtual seconds: the most that one epoch may take; until a world is at rest (finished pods are kept for ten
#: minutes); and how long it is then watched.
_MOST_SECONDS, _REST_SECONDS, _WATCHED_SECONDS = 500_000.0, 1_000.0, 400.0

#: Virtual seconds until nothing is felt of a fault any more: a watch that fell silent is given up after ninety.
_WELL_SECONDS = 150.0

#: For how many steps something may go wrong, and how little a step counts in which the run is in another state.
_STEPS, _ELSEWHERE = 25, 0.02

#: What has to happen for another fault to show: something to be told of, and a reason to list again.
_COMPANIONS = {
    Fault.WATCH_LATE: [Fault.EDITED],
    Fault.WATCH_REPEATED: [Fault.EDITED],
    Fault.WATCH_SILENT: [Fault.EDITED],
    Fault.LAGGING_LIST: [Fault.WATCH_CUT, Fault.EDITED],
    Fault.COMPACTED: [Fault.EDITED],
    Fault.UNREADABLE: [Fault.WATCH_CUT, Fault.EDITED],
}

#: Mishaps that show only when the operator writes something.
_AT_WRITES = (Fault.CRASH_BEFORE_WRITE, Fault.CRASH_AFTER_WRITE)

#: Seconds between two steps in which something may go wrong: while it goes on, and afterwards.
_MOMENTS, _WHILES = (0.01, 0.05, 0.2, 0.5, 1.0, 2.0), (0.1, 2.0, 100.0)

#: How many of the pods that will succeed do so at once when they are deleted.
_HURRY = 0.7

#: In how many steps pods are asked to go, where there is much of that.
_GENTLE = 0.3

#: Virtual seconds until an operator surely is ready; by how much each request is slower while a run begins.
_READY_SECONDS, _SLOW_SECONDS = 10.0, 4.0

#: Likewise, where operators have to renew a lease: they could do nothing at all if that took longer than they wait.
_SLOW_WITH_LEASES_SECONDS = 1.0

T = TypeVar("T")


class Simulation(Player):
    """The run of one plot.

    Attributes:
        struck: when each fault struck, in virtual seconds.
        hits: how often each struck in each state of the run.
        vault: the run beside it that uses a Secret, if there is one.
    """

    def __init__(self, plot: Plot) -> None:
        self.plot = plot
        self.struck: list[tuple[float, str]] = []
        self.hits: Counter[tuple[Fault, State]] = Counter()
        self.runner = asyncio.Runner(loop_factory=lambda: VirtualLoop(stall_at=10**7))
        self._asked: list[dict[str, Any]] = []
        self._open: set[str] = set()
        self._restored: tuple[int, RunState] | None = None
        self._spec: dict[str, Any] = {}
        self._idle = self._version = 0
        self._left: float = _STEPS
        self._gentle = Random(plot.seed)
        self.vault = Vault(Random(plot.seed)) if plot.secret else None
        self._fits = True
        self._created = False
        super().__init__(as_played(plot.scenario))
        self.remembers = False
        if self.vault is not None:
            self.vault.open()
        random.seed(plot.seed)  # of what the operator draws itself, such as the jitter of its back-off
        self.runner.run(self._build())
        self._created = True
        for action in self._asked:
            self._put_action(action)
        self._refresh()

    async def _build(self) -> None:
        seed = self.scenario.seed
        self.storm = Storm(Random(seed + 2), self._struck)
        if self.plot.lead in CHANCES:
            self.storm.fierce = {self.plot.lead: self._fierceness(CHANCES[self.plot.lead])}
        self.cluster = Cluster(self._program, seed=seed, weather=self.storm, leases=self.plot.leases)
        self.watchman = Watchman(self.cluster, canaries=CANARIES)
        self.storm.server = self.cluster.server
        self.cluster.server.admit = self._admit
        self.harm = Harm(self.cluster, self.storm, Random(seed + 3), self._struck)
        self._spec = spec_of(self.scenario)
        if self.scenario.marks:
            self._spec["suspend"] = True
        child = {
            "params": [{"name": "x", "type": "integer"}],
            "tasks": [
                {
                    "name": "w",
                    "container": {"image": "i", "args": ["${string(params.x)}"]},
                    "outputs": [{"name": "x", "type": "integer"}],
                }
            ],
            "outputs": [{"name": "x", "value": "${tasks.w.outputs.x}"}],
        }
        self.cluster.put(WORKFLOWTEMPLATES, {"metadata": {"name": CHILD}, "spec": child}, NAMESPACE)
        host = self.cluster.host()
        if self.plot.state is State.BEGINS:
            host.start()
            await asyncio.sleep(_READY_SECONDS)
            # Or it would be over before anything can strike.
            self.storm.slow = _SLOW_WITH_LEASES_SECONDS if self.plot.leases else _SLOW_SECONDS
        self.cluster.put(WORKFLOWS, {"metadata": {"name": NAME}, "spec": self._spec}, NAMESPACE)
        self.uid = self.cluster.get(WORKFLOWS, NAME)["metadata"]["uid"]
        if self.vault is not None:
            self.vault.fill(self.cluster, NAMESPACE)
        if not host.alive:
            host.start()

    def _fierceness(self, chance: float) -> float:
        """Return in how many of a hundred cases the lead strikes: not in all, or nothing would get on."""
        if self.plot.state is State.BEGINS or self.plot.lead is Fault.QUOTA:  # where there are few requests
            return 90
        return max(chance, min(70, 4 * chance))

    def close(self) -> None:
        """End everything."""
        self.runner.run(self.cluster.close())
        self.runner.close()
        if self.vault is not None:
            self.vault.close()

    # -- what Player does, by way of the API server

    def play(self) -> None:
        """Go on until the run has ended, faults are over, and nothing is left to be done."""
        loop = self.runner.get_loop()
        end = loop.time() + _MOST_SECONDS
        self.epoch_steps = 0
        while not self._is_quiet():
            if loop.time() > end:
                raise Disagreement(f"L1: no end: {[(name, s.phase.value) for name, s in self.run.nodes.items()]}")
            self.step()

    def _is_quiet(self) -> bool:
        if self.run.outcome is None or self.storm.raging or self.storm.down or self._faults_due():
            return False
        return not self.unanswered()

    def unanswered(self) -> list[str]:
        """Return the requests that are not answered yet, by name."""
        return [name for name in sorted(self._open) if not self._is_answered(name)]

    def _is_answered(self, name: str) -> bool:
        conditions = self.cluster.get(WORKFLOWACTIONS, name).get("status", {}).get("conditions", ())
        answered = any(each["type"] == "Accepted" for each in conditions)
        if answered:
            self._open.discard(name)
        return answered

    def step(self) -> None:
        """Let users do what they do, something go wrong, and some time pass."""
        self.users()
        self._apply_settings()
        self._go_wrong()
        self.runner.run(asyncio.sleep(self._pause()))
        self._refresh()

    def _pause(self) -> float:
        """Return the seconds until the next step: few while something goes wrong, more and more while all is still."""
        if self._faults_due() and self._fits:
            self._idle = 0
            some = _WHILES if self.run.outcome is not None else _MOMENTS[:3] if self.storm.slow else _MOMENTS
            seconds: float = self.random.choice(some)
            return seconds
        version = self.cluster.server.version
        self._idle = 0 if version != self._version else self._idle + 1
        self._version = version
        most = 4 if self._faults_due() else 30  # a state that is waited for may be over soon
        return self.random.uniform(0.1, 3) * min(2 ** max(0, self._idle - 10), most)

    def ask(self, kind: ActionKind, *tasks: str, **more: Any) -> str:
        """Create a WorkflowAction; returns its name."""
        self.requested += 1
        name = f"a{self.requested:04}"
        fields = {
            "tasks": list(tasks) or None,
            "phase": more["phase"].value if "phase" in more else None,
            "mode": more["mode"].value if "mode" in more else None,
            "values": dict(more["values"]) if more.get("values") else None,
            "token": more.get("token"),
        }
        spec = {"action": kind.value} | {key: value for key, value in fields.items() if value is not None}
        self._asked.append({"name": name, "spec": spec})
        self._open.add(name)
        if self._created:
            self._put_action(self._asked[-1])
        return name

    def _put_action(self, action: Mapping[str, Any]) -> None:
        spec = {"workflowName": NAME, "workflowUID": self.uid, **action["spec"]}
        body = {"metadata": {"name": action["name"]}, "spec": spec}
        try:
            self._do(lambda: self.cluster.put(WORKFLOWACTIONS, body, NAMESPACE, "ann"))
        except ValueError as refused:
            raise Disagreement(f"the action was not admitted: {refused}") from refused

    def answer_to(self, uid: str) -> ActionRecord | None:
        """Return how an action was answered, by its name: of old ones the run itself has forgotten it."""
        known = next((record for record in self.run.actions if record.name == uid), None)
        if known is not None or not self._is_answered(uid):
            return known
        raw = self.cluster.get(WORKFLOWACTIONS, uid)
        told = next(each for each in raw["status"]["conditions"] if each["type"] == "Accepted")
        return ActionRecord(
            uid=raw["metadata"]["uid"],
            name=uid,
            action=ActionKind(raw["spec"]["action"]),
            by="ann",
            at=START,
            accepted=told["status"] == "True",
            reason=told["reason"],
            message=told["message"],
        )

    def _bother(self) -> None:
        if self._faults_due():
            self._mishap(Fault.ACTION_SPAM)

    def _apply_settings(self) -> None:
        """Write what the player has decided on into the spec."""
        wanted: Settings = self.settings
        spec: dict[str, Any] = {}
        if bool(self._spec.get("suspend")) is not wanted.suspend and self.scenario.suspended is not None:
            spec["suspend"] = wanted.suspend
        if wanted.parallelism is not None and self._spec.get("parallelism") != wanted.parallelism:
            spec["parallelism"] = wanted.parallelism
        if wanted.deadline_seconds is None and self._spec.get("deadlineSeconds") is not None:
            spec["deadlineSeconds"] = None
        overrides = [
            {**each, "maxParallel": wanted.overrides[each["task"]].max_parallel}
            for each in self._spec.get("overrides", ())
            if wanted.overrides[each["task"]].max_parallel is not None
        ]
        if overrides and overrides != self._spec["overrides"] and self.scenario.bothered:
            spec["overrides"] = overrides
        if spec:
            self._spec |= spec
            self._do(lambda: self.cluster.patch(WORKFLOWS, NAME, {"spec": spec}, NAMESPACE))

    def _refresh(self) -> None:
        """Read what is persisted of the run."""
        version = self.cluster.server.version
        if self._restored is not None and self._restored[0] == version:
            return
        raw = self.cluster.get(WORKFLOWS, NAME)
        status = raw.get("status", {})
        shards = [shard for shard in self.cluster.list(TASKSTATUSSHARDS) if shard.get("workflowUID") == self.uid]
        shards.sort(key=lambda shard: int(shard["index"]))
        workflow = SimpleNamespace(status=status, uid=self.uid, name=NAME, namespace=NAMESPACE)
        compiled = SimpleNamespace(graph=self.graph)
        self.run = state_of(workflow, compiled, START, Record(read_tasks(status, shards)))  # type: ignore[arg-type]
        self._restored = (version, self.run)
        self.status, self.shards = status, shards

    # -- the pods

    def _program(self, pod: Mapping[str, Any]) -> Act:
        annotations = pod["metadata"].get("annotations") or {}
        if labels.NODE not in annotations or "ownerReferences" not in pod["metadata"]:
            return Act()  # a foreign one
        node, number = annotations[labels.NODE], int(pod["metadata"]["name"].rpartition("-")[2])
        if annotations.get(labels.RUN_NAME) in RUNS:
            return act_of(pod)
        argument = int(pod["spec"]["containers"][0]["args"][0])
        chance = Random(f"{self.scenario.seed} {node} {number}")
        seconds, lingers = chance.choice(self.plot.lengths), chance.choice([0, 0.5, 3, 8])
        if self._is_cut_off(node) and chance.random() < 0.4:
            seconds = LONG_SECONDS
        if annotations.get(labels.RUN_NAME) != NAME:
            return Act(seconds=seconds, lingers=lingers, message=json.dumps({"x": argument}))
        act = replace(_act(self.end_of(node, number), argument, seconds), lingers=lingers)
        return replace(act, hurries=self._hurries(node, number, act))

    def _hurries(self, node: str, number: int, act: Act) -> bool:
        """Tell whether a pod that is to go ends as well as it would have anyway: there is nothing to be tried again."""
        if self.plot.edition == 1 or act.exit_code or not act.seconds or act.seconds == LONG_SECONDS:
            return False
        return Random(f"{self.scenario.seed} {node} {number} hurries").random() < _HURRY

    def _is_cut_off(self, node: str) -> bool:
        """Tell whether what runs now of a task is going to be ended, by a stop or a deadline, and by nothing else."""
        scenario, task = self.scenario, self.tasks.get(node.partition("[")[0])
        if task is None or task.final or scenario.marks or self.run.epoch > 1:
            return False
        if any(end.way is Way.TOO_LONG for ends in (task.ends, *task.item_ends) for end in ends):
            return False
        stopped = scenario.stop in (StopMode.CANCEL, StopMode.TERMINATE) and scenario.stop_at < 6
        return stopped or scenario.deadline is not None

    def _admit(self, request: Request, obj: Mapping[str, Any]) -> Answer | None:
        """Refuse what the script says is refused for good."""
        if request.method != "POST" or obj.get("kind") != "Pod":
            return None
        metadata = obj["metadata"]
        annotations = metadata.get("annotations") or {}
        if annotations.get(labels.RUN_NAME) != NAME or not metadata.get("finalizers"):
            return None
        node, number = annotations[labels.NODE], int(metadata["name"].rpartition("-")[2])
        if self.end_of(node, number).way is not Way.REFUSED:
            return None
        said = 'admission webhook "policy" denied the request: no'
        body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": said, "code": 400}
        return Answer(code=400, body={**body, "reason": "BadRequest"})

    # -- what goes wrong

    def _faults_due(self) -> bool:
        """Tell whether something may go wrong now: for so long as its state lasts, and a while before."""
        if self._left <= 0 or (self.scenario.marks and self.unanswered()):
            return False  # a mark that came too late would be something else
        return self.run.outcome is None or self.plot.state is State.OVER

    def _go_wrong(self) -> None:
        self.storm.raging.clear()
        if not self._faults_due():
            return
        states = self._states()
        fits = self._fits = self.plot.state in states
        if State.BEGINS not in states:
            self.storm.slow = 0.0
        asks = fits and self.plot.lead in (*CHANCES, *_AT_WRITES) and State.BEGINS not in states
        if (asks or self.plot.state is State.ACTION) and self.random.random() < 0.5:
            self.ask(ActionKind.CLEAR, "nobody")  # so that there is something to go wrong
        self._left -= 1 if fits else _ELSEWHERE
        striking = [fault for fault in self.plot.others if self.random.random() < 0.08]
        if fits or self.plot.lead in (
            Fault.QUOTA,
            Fault.UNSCHEDULABLE,
        ):  # what begins a state is created before it is seen to have begun
            striking += [self.plot.lead, *_COMPANIONS.get(self.plot.lead, ())]
        if self.plot.gentle is not None and self._gentle.random() < _GENTLE:
            striking.append(self.plot.gentle)
        for fault in striking:
            if fault in MISHAPS:
                self._mishap(fault)
            else:
                self.storm.raging.add(fault)

    def _mishap(self, fault: Fault) -> None:
        if self._do(lambda: MISHAPS[fault](self.harm)):
            self._struck(fault)

    def _do(self, what: Callable[[], T]) -> T:
        """Do something to the cluster: inside the loop, since what follows from it sets timers."""

        async def do() -> T:
            return what()

        return self.runner.run(do())

    def _struck(self, fault: Fault) -> None:
        self.struck.append((self.runner.get_loop().time(), fault.value))
        for state in self._states():
            self.hits[fault, state] += 1

    def _states(self) -> frozenset[State]:
        self._refresh()
        return states_of(self)

    # -- the end

    def rest(self) -> list[str]:
        """Heal everything, let the world come to rest, and watch it for a while; returns what was wrong all along."""
        self.storm.raging.clear()
        self.storm.trap, self.storm.forgets, self.storm.slow = None, False, 0.0
        self.runner.run(self._heal())
        self._do(self.watchman.at_rest)
        calm = Calm(self.cluster)
        with calm.counted():
            self.runner.run(asyncio.sleep(_WATCHED_SECONDS))
        problems = [f"{each.invariant}: {each.text}" for each in self._do(self.watchman.end)]
        problems += calm.problems(_WATCHED_SECONDS)
        if self.plot.clocks:
            skew = max(abs(host.skew) for host in self.cluster.hosts)
            problems += late(self.cluster, skew)
        return problems

    async def _heal(self) -> None:
        await self.harm.settled()
        self.cluster.nodes.set_accepts(True)
        self.cluster.hosts[0].resume()
        if not any(host.alive for host in self.cluster.hosts):
            self.cluster.hosts[0].start()
        if self.plot.clocks:
            await self._try_clocks()
        await asyncio.sleep(_REST_SECONDS)

    async def _try_clocks(self) -> None:
        await asyncio.sleep(_WELL_SECONDS)
        wind_up(self.cluster, NAMESPACE)
        await asyncio.sleep(KILLED_AFTER)
        if self.plot.killed:
            for host in self.cluster.hosts:
                if host.alive:
                    host.crash()
            await asyncio.sleep(1)
            self.cluster.hosts[0].start()
        await asyncio.sleep(LASTS)

    # -- the truth about attempts

    def by_others(self) -> dict[tuple[str, int], End]:
        """Return the attempts that mishaps have ended, and as what.

        Those whose pods were touched, and have not succeeded all the same by what the API server had of them last; and
        sub-workflows that have lost so many of those that they could only fail.
        """
        journal = self.cluster.server.journal
        lost = self.harm.touched - succeeded_pods(journal)
        spent = spent_children(journal, self.uid, lost)
        found: dict[tuple[str, int], End] = {}
        for name, state in self.run.nodes.items():
            for attempt in state.attempts:
                if attempt.failure_class is FailureClass.INFRASTRUCTURE and attempt.object_name in lost:
                    found[name, attempt.number] = End(Way.EVICTED, exit_code=None, reason=attempt.reason)
                elif attempt.reason == "SubworkflowFailed" and (name, attempt.number) in spent:
                    found[name, attempt.number] = End(Way.EXIT, exit_code=None, reason=attempt.reason)
        return found


def _act(end: End, argument: int, seconds: float) -> Act:
    match end.way:
        case Way.DONE:
            written = {"x": argument} if end.writes is None else end.writes
            return Act(seconds=seconds, message=json.dumps(written))
        case Way.EXIT:
            return Act(seconds=seconds, exit_code=end.exit_code or 1, reason=end.reason)
        case Way.EVICTED:
            return Act(seconds=seconds, evicted=True)
        case Way.NEVER_STARTS:
            return Act(fits=False)
        case Way.STUCK:
            return Act(waiting="ImagePullBackOff")
        case _:
            return Act(seconds=None)
