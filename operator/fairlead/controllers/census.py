"""What runs, waits and stalls, counted for the metrics when somebody reads them.

Of runs under way the engine keeps counts, which are added up. Why tasks wait is found by looking at each, but only at
those of runs that have changed since they were last asked about: an idle operator with thousands of blocked runs has
nothing to look at. Of the other Workflows the counts are kept as they change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fairlead.engine.model import Phase
from fairlead.engine.reasons import waits
from fairlead.telemetry.metrics import Metrics

from .buckets import ALL, Holdings, group_of_bucket
from .concurrency import Move
from .run import Run
from .status import condition_of, is_finished
from .store import Workflow, WorkflowStore

__all__ = ["Census"]

OTHER = "Other"

#: What a run can say of itself; whoever may write a status must not be able to make up series.
_RUN_PHASES = ("Pending", "Running", "Suspended", "Succeeded", "Failed", "Cancelled")
_RUN_WAITS = frozenset({"New", "TemplateNotFound", Move.WAIT.value})
_RUN_STALLS = frozenset({"TemplateNotFound", "OperatorBlocked", "InvalidSpec", "ShardMissing"})

#: Why a task does not get on. A kubelet, or the controller of another kind, may have words of its own.
_TASK_WAITS = frozenset(
    {
        *("ApiUnavailable", "Backoff", "ContainerConfig", "CrashLoopBackOff", "ExpressionError", "Forbidden"),
        *("ImagePull", "NamespaceTerminating", "NoStatus", "OperatorForbidden", "QuotaExceeded", "SchedulingGated"),
        *("Starting", "Subworkflow", "Suspended", "TemplateNotFound", "Terminating", "Unschedulable"),
        *("WaitingForApiServer", "WaitingForApproval", "WaitingForCallback", "WaitingForConcurrencyKey"),
        *("WaitingForCondition", "WaitingForNode", "WaitingForParallelism", "WaitingForRecord"),
        *("WaitingForServiceAccount", "WaitingForTasks", "WaitingUntil"),
    }
)


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where a Workflow stands: its group of buckets, its phase, and what it waits for or is stalled by, or ""."""

    group: int
    phase: str
    waits: str
    stalled: str

    @classmethod
    def of(cls, workflow: Workflow) -> _Standing:
        status = workflow.status
        phase, waits_for, stalled = str(status.get("phase", "Pending")), "", ""
        if not is_finished(status):
            verdict, stall = condition_of(status, "Succeeded"), condition_of(status, "Stalled")
            if "startTime" not in status:
                waits_for = _known(verdict.get("reason", "New"), _RUN_WAITS)
            if stall.get("status") == "True":
                stalled = _known(stall.get("reason", OTHER), _RUN_STALLS)
        return cls(group_of_bucket(workflow.owner.bucket), _known(phase, _RUN_PHASES), waits_for, stalled)


class Census:
    """Counts the runs that this replica holds. `active` are those under way, by UID."""

    def __init__(self, store: WorkflowStore, active: Callable[[], Mapping[str, Run]], holdings: Holdings) -> None:
        self._active = active
        self._holdings = holdings
        self._standings: Counter[_Standing] = Counter()
        self._seen: dict[str, tuple[object, Mapping[str, int]]] = {}
        store.follow(self._changed)

    def tell(self, metrics: Metrics) -> None:
        """Let the metrics ask."""
        metrics.ask("fairlead_runs", self.runs)
        metrics.ask("fairlead_runs_waiting", lambda: self._by("waits", _RUN_WAITS))
        metrics.ask("fairlead_runs_stalled", lambda: self._by("stalled", _RUN_STALLS))
        metrics.ask("fairlead_tasks", self.tasks)
        metrics.ask("fairlead_tasks_waiting", self.tasks_waiting)
        metrics.ask("fairlead_task_slots", self.slots)
        metrics.ask("fairlead_bucket_groups", lambda: {(): len(self._groups())})
        metrics.ask("leader_election_master_status", self.leases)
        known = metrics.templates.knows
        metrics.ask("fairlead_template_runs_active", lambda: self._by_template(known, lambda _: {(): 1}))
        metrics.ask("fairlead_template_tasks", lambda: self._by_template(known, _phases))
        metrics.ask(
            "fairlead_template_tasks_waiting",
            lambda: self._by_template(known, lambda run: {(reason,): n for reason, n in self._waits(run).items()}),
        )

    def runs(self) -> dict[tuple[str, ...], float]:
        """Return how many runs there are in each phase."""
        return self._by("phase", _RUN_PHASES)

    def tasks(self) -> dict[tuple[str, ...], float]:
        """Return how many tasks and items of the runs under way are in each phase."""
        counts: Counter[Phase] = Counter()
        for run in self._active().values():
            counts.update(run.state.counts)
        return {(phase.value,): counts[phase] for phase in Phase}

    def tasks_waiting(self) -> dict[tuple[str, ...], float]:
        """Return how many tasks and items of the runs under way do not run, by reason."""
        active = self._active()
        self._seen = {uid: seen for uid, seen in self._seen.items() if uid in active}
        counts = Counter(dict.fromkeys(_TASK_WAITS, 0))
        for run in active.values():
            counts.update(self._waits(run))
        return {(reason,): count for reason, count in counts.items()}

    def slots(self) -> dict[tuple[str, ...], float]:
        """Return how many slots are held, and how many tasks and items wait for one."""
        runs = self._active().values()
        return {
            ("held",): sum(run.state.live for run in runs),
            ("waiting",): sum(run.state.counts[Phase.QUEUED] for run in runs),
        }

    def leases(self) -> dict[tuple[str, ...], float]:
        """Return which groups of buckets are held."""
        held = self._groups()
        return {(f"fairlead-buckets-{group}",): float(group in held) for group in sorted(ALL)}

    def _groups(self) -> frozenset[int]:
        return self._holdings.groups if self._holdings.count else frozenset()

    def _changed(self, old: Workflow | None, new: Workflow | None) -> None:
        before = None if old is None else _Standing.of(old)
        after = None if new is None else _Standing.of(new)
        if before == after:
            return
        if before is not None:
            self._standings[before] -= 1
            if not self._standings[before]:
                del self._standings[before]
        if after is not None:
            self._standings[after] += 1

    def _by(self, what: str, known: tuple[str, ...] | frozenset[str]) -> dict[tuple[str, ...], float]:
        held = self._groups()
        counts = Counter(dict.fromkeys(known, 0))
        for standing, count in self._standings.items():
            if standing.group in held and (value := getattr(standing, what)):
                counts[value] += count
        return {(value,): count for value, count in counts.items()}

    def _waits(self, run: Run) -> Mapping[str, int]:
        """Return why the tasks of a run wait. O(nodes), where something has changed since."""
        state, settings = run.state, run.settings
        key = (state.revision, state.recorded_revision, state.live, settings.suspend, settings.parallelism)
        seen = self._seen.get(run.uid)
        if seen is None or seen[0] != key:
            found: Counter[str] = Counter()
            for reason, count in waits(state, settings).items():
                found[_known(reason, _TASK_WAITS)] += count
            seen = self._seen[run.uid] = (key, found)
        return seen[1]

    def _by_template(
        self, known: Callable[[str, str], bool], count: Callable[[Run], Mapping[tuple[str, ...], int]]
    ) -> dict[tuple[str, ...], float]:
        counts: Counter[tuple[str, ...]] = Counter()
        for run in self._active().values():
            if run.definition is not None and known(run.owner.namespace, run.definition.template):
                name = (run.owner.namespace, run.definition.template)
                counts.update({(*name, *labels): number for labels, number in count(run).items()})
        return dict(counts)


def _phases(run: Run) -> dict[tuple[str, ...], int]:
    return {(phase.value,): count for phase, count in run.state.counts.items()}


def _known(value: str, known: tuple[str, ...] | frozenset[str]) -> str:
    return value if value in known else OTHER
