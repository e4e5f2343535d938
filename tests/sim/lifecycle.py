"""Many small runs that come, end and go, with history limits, times to live and an archive, while faults strike.

What is judged is read from the API server's journal: which Workflows the operators have deleted, and what there was
at that moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any

from fairlead.controllers.options import HistoryPolicy, OperatorOptions
from fairlead.engine.history import HistoryLimits
from fairlead.kube.resources import WORKFLOWACTIONS, WORKFLOWS, WORKFLOWTEMPLATES
from fairlead.testing.apiserver import Change
from fairlead.testing.archive import MemoryArchive
from fairlead.testing.cluster import Cluster
from fairlead.testing.faults import Fault
from fairlead.testing.invariants import Watchman
from fairlead.testing.loop import run
from fairlead.testing.mishaps import MISHAPS, Harm
from fairlead.testing.nodes import Act
from fairlead.testing.storm import CHANCES, Storm

__all__ = ["Life", "lived"]

Json = Mapping[str, Any]

NAMESPACE, TEMPLATE = "default", "etl"
_RUNS, _MOST_SECONDS, _TTL_SECONDS = 24, 20_000.0, 60

#: A watch that fell silent is given up after ninety seconds.
_LATE_SECONDS = 150.0

#: Of a namespace and of a template.
NAMESPACE_LIMITS, TEMPLATE_LIMITS = HistoryLimits(succeeded=5, failed=3), HistoryLimits(succeeded=2)

#: What befalls operators; nothing that would change how pods end.
_MISHAPS = (Fault.CRASH, Fault.CRASH_BEFORE_WRITE, Fault.CRASH_AFTER_WRITE)


class Life:
    """The runs of one seed.

    Attributes:
        wrong: what should not have happened.
        deleted: by whom each Workflow was deleted, by its name.
    """

    def __init__(self, seed: int) -> None:
        self.wrong: list[str] = []
        self.deleted: dict[str, str] = {}
        self.struck: list[Fault] = []
        self.retried: set[str] = set()
        self.archive = MemoryArchive()
        self._former: list[tuple[datetime, Json]] = []
        self._random = random = Random(seed)
        self._storm = Storm(Random(seed + 1), self.struck.append)
        options = OperatorOptions(history=HistoryPolicy(NAMESPACE_LIMITS))
        leases = seed % 2 == 1
        self.cluster = Cluster(
            self._act, seed=seed, weather=self._storm, leases=leases, archive=self.archive, options=options
        )
        self._storm.server = self.cluster.server
        self.watchman = Watchman(self.cluster, limits_history=True)
        self._harm = Harm(self.cluster, self._storm, Random(seed + 2), self.struck.append)
        self.cluster.server.listeners.append(self._judge)
        spec = {"tasks": [{"name": "a", "container": {"image": "i"}}]}
        limits = {"succeeded": TEMPLATE_LIMITS.succeeded}
        self.cluster.put(
            WORKFLOWTEMPLATES, {"metadata": {"name": TEMPLATE}, "spec": {**spec, "historyLimits": limits}}, NAMESPACE
        )
        for number in range(1 + leases):
            self.cluster.host(f"operator-{number}").start()
        self._random = random

    def _act(self, pod: Json) -> Act:
        fails = self._random.random() < 0.4
        return Act(seconds=self._random.uniform(0.5, 20), exit_code=int(fails))

    async def go_on(self) -> None:
        """Let runs come, while things go wrong; then let all be well, until nothing changes any more."""
        for number in range(_RUNS):
            self._create(f"run-{number:02}")
            self._go_wrong()
            await asyncio.sleep(self._random.choice((0.2, 2.0, 15.0)))
            if self._random.random() < 0.2:
                self._retry()
        self._storm.raging.clear()
        await self._harm.settled()
        await asyncio.sleep(self._random.choice((0.0, 300.0)))
        self.archive.broken = self.archive.deaf = False
        done = await self.cluster.until(self._is_over, seconds=_MOST_SECONDS)
        if not done:
            self.wrong.append("runs do not come to an end")
        await asyncio.sleep(1500)
        self._judge_the_rest()
        self.watchman.at_rest()
        await asyncio.sleep(300)
        self.wrong += map(str, self.watchman.end())
        await self.cluster.close()

    def _create(self, name: str) -> None:
        own = {"tasks": [{"name": "a", "container": {"image": "i"}}]}
        spec: dict[str, Any] = self._random.choice([own, {"templateRef": {"name": TEMPLATE}}])
        if self._random.random() < 0.3:
            spec = {**spec, "ttlSecondsAfterFinished": _TTL_SECONDS}
        self.cluster.put(WORKFLOWS, {"metadata": {"name": name}, "spec": spec}, NAMESPACE)

    def _retry(self) -> None:
        """Somebody has a run retried that has failed: it may be about to be deleted."""
        ended = [run for run in self.cluster.list(WORKFLOWS) if (run.get("status") or {}).get("phase") == "Failed"]
        if ended:
            metadata = self._random.choice(sorted(ended, key=lambda run: str(run["metadata"]["name"])))["metadata"]
            spec = {"workflowName": metadata["name"], "workflowUID": metadata["uid"], "action": "Retry"}
            name = f"retry-{self.cluster.server.version}"
            self.cluster.put(WORKFLOWACTIONS, {"metadata": {"name": name}, "spec": spec}, NAMESPACE)
            self.retried.add(metadata["name"])

    def _go_wrong(self) -> None:
        self.archive.broken = self._random.random() < 0.4
        self.archive.deaf = self._random.random() < 0.2
        self.archive.seconds = self._random.choice((0.001, 0.5, 5.0))
        self._storm.raging.clear()
        if self._random.random() < 0.5:
            kind = self._random.choice(sorted(CHANCES))
            if kind not in (Fault.FORBIDDEN, Fault.UNREADABLE):
                self._storm.raging.add(kind)
        if self._random.random() < 0.3:
            fault = self._random.choice(_MISHAPS)
            if MISHAPS[fault](self._harm):
                self.struck.append(fault)

    # -- the judge

    def _judge(self, change: Change) -> None:
        """Look at each deletion, at the moment that it is stored."""
        if change.resource != WORKFLOWS.plural:
            return
        if _is_finished(change.before.get("status") or {}) and not _is_same_end(change.before, change.after):
            self._former.append((change.moment, change.before))
        if change.verb != "delete":
            return
        run, name = change.before, change.key.name
        self.deleted[name] = change.actor
        status = run.get("status") or {}
        if not _is_finished(status):
            self.wrong.append(f"{name} was deleted while it was active")
            return
        if not any(key.uid == change.uid and key.finished_at == _ended_at(run) for key in self.archive.runs()):
            self.wrong.append(f"{name} was deleted before it was archived")
        if not (self._is_expired(run) or self._is_surplus(run, lately=True)):
            self.wrong.append(f"{name} was deleted and was neither expired nor too many")

    def _is_expired(self, run: Json) -> bool:
        ttl = run["spec"].get("ttlSecondsAfterFinished")
        return ttl is not None and (self.cluster.now() - _ended_at(run)).total_seconds() >= ttl

    def _is_surplus(self, run: Json, *, lately: bool = False) -> bool:
        """Tell whether as many as are kept have ended after it: of its namespace, or of its template.

        Those that have gone on or away a moment ago count as well: an operator may not have heard of that.
        """
        succeeded = _succeeded(run)
        heard_of = self.cluster.now() - timedelta(seconds=_LATE_SECONDS)
        former = [each for moment, each in self._former if moment >= heard_of] if lately else []
        ended = {each["metadata"]["uid"]: each for each in (*former, *self.cluster.list(WORKFLOWS))}
        alike = [
            each
            for each in ended.values()
            if _is_finished(each.get("status") or {})
            and _succeeded(each) is succeeded
            and (_ended_at(each), each["metadata"]["uid"]) > (_ended_at(run), run["metadata"]["uid"])
        ]
        of_template = [each for each in alike if "templateRef" in each["spec"]] if "templateRef" in run["spec"] else []
        kept, kept_of_template = NAMESPACE_LIMITS.of(succeeded), TEMPLATE_LIMITS.of(succeeded)
        return (kept is not None and len(alike) >= kept) or (
            kept_of_template is not None and len(of_template) >= kept_of_template
        )

    def _is_over(self) -> bool:
        return all(_is_finished(run.get("status") or {}) for run in self.cluster.list(WORKFLOWS))

    def _judge_the_rest(self) -> None:
        """Once all is well, no more is left than is to be kept."""
        left = self.cluster.list(WORKFLOWS)
        self.wrong += [f"{run['metadata']['name']} was not deleted" for run in left if self._is_expired(run)]
        self.wrong += [f"{run['metadata']['name']} is one too many" for run in left if self._is_surplus(run)]
        archived = {key.uid for key in self.archive.runs()}
        self.wrong += [
            f"{run['metadata']['name']} is not archived" for run in left if run["metadata"]["uid"] not in archived
        ]


def _is_finished(status: Json) -> bool:
    return any(each["type"] == "Finished" and each["status"] == "True" for each in status.get("conditions") or ())


def _is_same_end(before: Json, after: Json) -> bool:
    return bool(after) and _is_finished(after.get("status") or {}) and _ended_at(before) == _ended_at(after)


def _succeeded(run: Json) -> bool:
    return run["status"]["phase"] == "Succeeded"


def _ended_at(run: Json) -> datetime:
    return datetime.fromisoformat(run["status"]["completionTime"])


def lived(seed: int) -> Life:
    """Play the runs of a seed."""

    async def main() -> Life:
        life = Life(seed)
        await life.go_on()
        return life

    return run(main(), stall_at=10**6)
