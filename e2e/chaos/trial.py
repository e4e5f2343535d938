"""Playing one fault: its operators and namespaces, the verdict on its runs, and clearing it away however it ends."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

from e2e.chaos.effects import Span
from e2e.chaos.judge import Costs, judge, no_cost
from e2e.chaos.keeper import Keeper
from e2e.chaos.ledger import Ledger, Witness, compare
from e2e.chaos.machine import Machine
from e2e.chaos.scene import Scene, Stuck, say
from e2e.chaos.table import Row
from e2e.chaos.tally import Share, Tally, shares, tally
from e2e.devcluster.api import Refusal
from e2e.devcluster.progress import wait_until
from e2e.kubectl import Cluster, CommandFailed
from fairlead.api.labels import FINALIZER

__all__ = ["Trial", "wait_gone"]

Object = dict[str, Any]

#: How long the runs of a fault may take after it is over.
FINISH_SECONDS = 300.0

#: What we hold is looked at again once a minute where letting go of it has failed.
RELEASE_SECONDS = 90.0

_GONE_SECONDS = 90.0

#: A create that was under way when the deletion of its namespace was asked for may still come through.
_LATE_SECONDS = 1.0

#: How many problems of one fault are told.
_TOLD = 12


@dataclass(slots=True)
class Trial:
    """One fault being played. `row` is what is told of it in the end.

    `leaving` gets the namespaces that are empty and being deleted: that takes the cluster a while, and nobody waits for
    it here.
    """

    cluster: Cluster
    machine: Machine
    row: Row
    chosen: Random
    folder: Path
    kills: int
    leaving: list[tuple[Row, Scene]]
    _keepers: list[Keeper] = field(default_factory=list)
    _scenes: list[Scene] = field(default_factory=list)

    def keeper(self, cluster: Cluster | None = None) -> Keeper:
        """Return an operator that has not been started yet."""
        log = self.folder / f"{self.row.fault}-{len(self._keepers)}.log"
        log.unlink(missing_ok=True)
        self._keepers.append(Keeper(cluster or self.cluster, log))
        return self._keepers[-1]

    def scene(self, *keepers: Keeper, suffix: str = "") -> Scene:
        """Return a namespace of this fault's own."""
        scene = Scene.open(self.cluster, self.machine.api, f"chaos-{self.row.fault}{suffix}", keepers)
        self._scenes.append(scene)
        return scene

    def struck(self, what: str) -> None:
        """Count one strike of the fault, and tell."""
        self.row.times += 1
        say(f"{self.row.fault}: {what}")

    def check(self, holds: object, problem: str) -> None:
        """Note a problem unless something holds."""
        if not holds:
            self._problem(problem)

    def stop(self) -> None:
        """Stop the operators that run."""
        for keeper in self._keepers:
            if keeper.alive and (wrong := keeper.stop()):
                self._problem(wrong)

    def settle(self, scene: Scene, costs: Costs = no_cost, outages: Sequence[Span] = ()) -> Counter[str]:
        """Wait for the ends of all runs, judge them, and see that nothing is left of them.

        Returns how many attempts each task of the fault's runs has lost to it.
        """
        say(f"{self.row.fault}: waiting for the ends of {len(scene.runs)} runs ({scene.progress()})")
        self.row.runs += len(scene.runs)
        try:
            scene.finish(FINISH_SECONDS)
        except Stuck as error:
            self._problem(f"{error}: {', '.join(scene.step())}")
        self._nothing("what is still held", scene, scene.held, RELEASE_SECONDS)
        lost = self._judge(scene, costs, outages)
        self.cluster.kubectl(
            "delete", "workflows", "--all", "-n", scene.namespace, "--cascade=background", "--wait=false"
        )
        self._nothing("what is left of the runs", scene, scene.left, RELEASE_SECONDS)
        self.cluster.kubectl("delete", "namespace", scene.namespace, "--wait=false")
        self._scenes.remove(scene)
        self.leaving.append((self.row, scene))
        return lost

    def account_without_record(self, scene: Scene, uids: Mapping[str, str], gone: datetime) -> None:
        """Look for repetition and lateness only: the record of the scene's runs went with their namespace.

        None of these attempts can be told to be lost, so they are counted apart. `uids` has the runs' UIDs, `gone` when
        the deletion of the namespace was asked for.
        """
        self.row.runs += len(scene.runs)
        witnesses = scene.witnesses()
        wanted = _shares(scene, uids, witnesses, no_cost)
        existed = {}
        for kind, witness in witnesses.items():
            ledger = compare({}, witness, _names(wanted, kind))
            existed[kind] = ledger.existed
            self.row.unrecorded += len(ledger.existed)
            self._repeated(kind, ledger)
            late = witness.last is not None and (witness.last - gone).total_seconds() > _LATE_SECONDS
            self.check(
                not late, f"one of the {kind} was created at {witness.last}, {scene.namespace} deleted at {gone}"
            )
        # How far the runs would have come, nobody knows.
        self._tally(tally([replace(share, least=0) for share in wanted], existed))

    def _account(
        self,
        scene: Scene,
        recorded: Mapping[str, Mapping[str, datetime | None]],
        uids: Mapping[str, str],
        costs: Costs,
        outages: Sequence[Span],
    ) -> None:
        """Hold what is on record, and what was planned, against the audit log."""
        witnesses = scene.witnesses()
        wanted = _shares(scene, uids, witnesses, costs)
        existed = {}
        for kind, witness in witnesses.items():
            ledger = compare(recorded.get(kind, {}), witness, _names(wanted, kind), outages)
            existed[kind] = ledger.existed
            self.row.attempts += len(ledger.existed)
            self.row.lost += len(ledger.lost)
            self._problems(f"{kind[:-1]} {name} was created and is on no record" for name in ledger.lost)
            self._problems(f"{kind[:-1]} {name} is on record and was never created" for name in ledger.invented)
            self._repeated(kind, ledger)
            if witness.cut_off:
                proven = f"{len(witness.proven)} of them known by other entries only"
                say(f"{self.row.fault}: creates of {len(witness.cut_off)} {kind} were cut off, {proven}")
        self._tally(tally(wanted, existed))

    def _repeated(self, kind: str, ledger: Ledger) -> None:
        self.row.repeated += len(ledger.repeated)
        self._problems(f"{kind[:-1]} {name} was created more than once" for name in ledger.repeated)

    def _tally(self, found: Tally) -> None:
        self.row.lost += found.lost
        self.row.repeated += found.repeated
        self._problems(found.problems)

    def _judge(self, scene: Scene, costs: Costs, outages: Sequence[Span]) -> Counter[str]:
        found = {each["metadata"]["name"]: each for each in scene.all_of("workflows")}

        def told(name: str) -> tuple[Object, dict[str, Object]]:
            workflow = found.get(name)
            return ({}, {}) if workflow is None else (workflow.get("status", {}), scene.entries(workflow))

        recorded: dict[str, dict[str, datetime | None]] = {}
        lost: Counter[str] = Counter()
        for run in scene.runs:
            findings = judge(run, *told(run.name), told, costs)
            for kind, names in findings.recorded.items():
                recorded.setdefault(kind, {}).update(names)
            lost += findings.costs
            self._problems(findings.problems)
        uids = {name: each["metadata"]["uid"] for name, each in found.items()}
        self._account(scene, recorded, uids, costs, outages)
        return lost

    def _nothing(self, what: str, scene: Scene, look: Any, seconds: float) -> None:
        try:
            scene.until(f"the end of {what}", lambda: not look(), seconds, 0.5)
        except Stuck as error:
            self._problem(f"{error}: {'; '.join(look()[:5])}")

    def wait_gone(self, scene: Scene, seconds: float = _GONE_SECONDS) -> None:
        """Wait until a namespace that is being deleted is gone."""
        if problem := wait_gone(scene, seconds):
            self._problem(problem)

    def _problem(self, problem: str) -> None:
        say(f"{self.row.fault}: PROBLEM: {problem}")
        if len(self.row.problems) < _TOLD:
            self.row.problems.append(problem)

    def _problems(self, problems: Any) -> None:
        for problem in problems:
            self._problem(problem)

    def __enter__(self) -> Self:
        """Whatever it makes is cleared away at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        self.row.restarts = sum(keeper.restarts for keeper in self._keepers)
        for keeper in self._keepers:
            self._problems(f"the operator's log tells of a defect: {line}" for line in keeper.defects())
            keeper.kill()
        self._clear_away()

    def _clear_away(self) -> None:
        """Delete the namespaces that are still there, with an operator that lets go of what is held."""
        self.machine.mend()
        api = self.machine.api
        left = [each for each in self._scenes if api.exists(f"/api/v1/namespaces/{each.namespace}")]
        if not left:
            return
        say(f"{self.row.fault}: clearing away {', '.join(each.namespace for each in left)}")
        for scene in left:
            self.cluster.kubectl("delete", "namespace", scene.namespace, "--wait=false", "--ignore-not-found")
        with Keeper(self.cluster, self.folder / f"{self.row.fault}-clearing.log") as keeper:
            keeper.start()
            with suppress(Exception):
                wait_until("the namespaces to go", lambda: not any(map(_exists, left)), seconds=_GONE_SECONDS)
        for scene in left:
            if _exists(scene):
                _let_go(scene)


def _shares(scene: Scene, uids: Mapping[str, str], witnesses: Mapping[str, Witness], costs: Costs) -> list[Share]:
    made = set(uids).union(witnesses["workflows"].objects)
    return [share for run in scene.runs for share in shares(run, uids, made, costs)]


def _names(wanted: Sequence[Share], kind: str) -> set[str]:
    return {name for share in wanted if share.carrier == kind for name in share.names}


def wait_gone(scene: Scene, seconds: float = _GONE_SECONDS) -> str:
    """Wait until a namespace that is being deleted is gone. Returns the problem, "" if there is none."""
    path = f"/api/v1/namespaces/{scene.namespace}"
    try:
        scene.until(f"namespace {scene.namespace} to be gone", lambda: _is_gone(scene, path), seconds)
    except Stuck as error:
        return f"{error}: {scene.api.request('GET', path).get('status', {}).get('conditions')}"
    return ""


def _exists(scene: Scene) -> bool:
    return scene.api.exists(f"/api/v1/namespaces/{scene.namespace}")


def _is_gone(scene: Scene, path: str) -> bool:
    try:
        scene.api.request("GET", path)
    except Refusal as refusal:
        if refusal.status == 404:
            return True
        raise
    return False


def _let_go(scene: Scene) -> None:
    """Take our finalizer off what no operator let go of: the next run shall not find it."""
    for kind in ("pods", "jobs", "taskstatusshards"):
        for each in scene.all_of(kind):
            held = [name for name in each["metadata"].get("finalizers", ()) if name != FINALIZER]
            patch = json.dumps({"metadata": {"finalizers": held}})
            with suppress(CommandFailed):
                scene.workflows.kubectl("patch", kind, each["metadata"]["name"], "--type=merge", "-p", patch)
    time.sleep(1)
