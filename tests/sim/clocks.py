"""L5 to the second: once all faults are over, a run full of time limits is played, and each has to act when it is due.

What the storm has left of the operator is what has to keep them. In some plots it is killed once more when they are set
already, long before the first is due. Judged is by what was stored when: by pods that came and went, and by what is on
record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fairlead.api import labels
from fairlead.kube.resources import PODS, TASKSTATUSSHARDS, WORKFLOWS
from fairlead.testing.apiserver import Change
from fairlead.testing.cluster import Cluster
from fairlead.testing.nodes import Act

__all__ = ["KILLED_AFTER", "LASTS", "RUNS", "act_of", "late", "wind_up"]

#: The names of the runs.
_MANY, _ONE = "clocks", "alarm"
RUNS = (_MANY, _ONE)

#: Seconds after which an operator may be killed, and those after that by which all is over.
KILLED_AFTER, LASTS = 12.0, 400.0

#: Seconds by which something may be early: times have a resolution of one; and late: nodes take theirs, too, and a
#: status is written once a second.
_EARLY, _LATE = 1.5, 5.0

_WAIT, _RETRY, _RUNS, _STARTS, _ASKS, _TASK, _ROUND, _FINALLY, _RUN = 70, 60, 80, 90, 75, 85, 65, 50, 100


def wind_up(cluster: Cluster, namespace: str) -> None:
    """Create the runs."""
    pod = {"container": {"image": "i"}, "onFailure": "Continue"}
    retry = {"limit": 1, "backoff": {"initialSeconds": _RETRY, "factor": 1, "maxSeconds": _RETRY}}
    tasks: list[dict[str, Any]] = [
        {"name": "wait", "wait": {"seconds": _WAIT}},
        {"name": "approval", "approval": {"message": "?", "timeoutSeconds": _ASKS, "onTimeout": "Approve"}},
        {"name": "fails", **pod, "retry": retry},
        {"name": "runs", **pod, "timeoutSeconds": _RUNS},
        {"name": "starts", **pod, "startTimeoutSeconds": _STARTS},
        {"name": "lasts", **pod, "deadlineSeconds": _TASK},
        {"name": "rounds", **pod, "repeat": {"until": "${iteration >= 2}", "maxIterations": 2, "delaySeconds": _ROUND}},
    ]
    finally_ = {"finally": [{"name": "tidy", **pod}], "finallyDeadlineSeconds": _FINALLY}
    cluster.put(WORKFLOWS, {"metadata": {"name": _MANY}, "spec": {"tasks": tasks, **finally_}}, namespace)
    one = {"tasks": [{"name": "on", "container": {"image": "i"}}], "deadlineSeconds": _RUN}
    cluster.put(WORKFLOWS, {"metadata": {"name": _ONE}, "spec": one}, namespace)


def act_of(pod: Mapping[str, Any]) -> Act:
    """Return what a pod of these runs does."""
    match pod["metadata"]["annotations"][labels.NODE]:
        case "fails":
            return Act(seconds=2, exit_code=1 if pod["metadata"]["name"].endswith("-1") else 0)
        case "starts":
            return Act(fits=False)
        case "rounds":
            return Act(seconds=2)
        case _:
            return Act(seconds=None)


@dataclass
class _Life:
    """What was stored of one pod, and when."""

    made: datetime
    runs: datetime | None = None
    over: datetime | None = None
    leaves: datetime | None = None


@dataclass
class _Story:
    """What was stored of one run: when it began, its pods by their task in the order of their creation, its ends."""

    begins: datetime | None = None
    pods: dict[str, list[_Life]] = field(default_factory=dict)
    ends: dict[str, datetime] = field(default_factory=dict)


def late(cluster: Cluster, skew: timedelta) -> Iterator[str]:
    """Yield what did not act when it was due. `skew` is by how much an operator's clock was wrong."""
    for run, clocks in ((_MANY, _CLOCKS), (_ONE, _ALARM)):
        story = _story(cluster, run)
        for name, clock in clocks.items():
            due, acted = clock(story)
            if due is None or acted is None:
                yield f"L5: {name} of the run {run!r} has never acted (due: {due})"
            elif not timedelta(seconds=-_EARLY) - skew <= acted - due <= timedelta(seconds=_LATE) + skew:
                yield f"L5: {name} of the run {run!r} was due at {due:%H:%M:%S.%f} and acted at {acted:%H:%M:%S.%f}"


_Clock = Callable[[_Story], tuple[datetime | None, datetime | None]]


def _pod(story: _Story, task: str, number: int = 0) -> _Life | None:
    pods = story.pods.get(task, [])
    return pods[number] if number < len(pods) else None


def _after(moment: datetime | None, seconds: float) -> datetime | None:
    return None if moment is None else moment + timedelta(seconds=seconds)


def _recorded(task: str, seconds: float) -> _Clock:
    """What waits without a pod, from the beginning of its run on."""
    return lambda story: (_after(story.begins, seconds), story.ends.get(task))


def _leaves(task: str, since: str, seconds: float) -> _Clock:
    """A pod that has to go so many seconds after it was made, or runs."""

    def clock(story: _Story) -> tuple[datetime | None, datetime | None]:
        pod = _pod(story, task)
        return (None, None) if pod is None else (_after(getattr(pod, since), seconds), pod.leaves)

    return clock


def _follows(task: str, seconds: float) -> _Clock:
    """A second pod that comes so many seconds after the first was over."""

    def clock(story: _Story) -> tuple[datetime | None, datetime | None]:
        first, second = _pod(story, task), _pod(story, task, 1)
        return None if first is None else _after(first.over, seconds), None if second is None else second.made

    return clock


_CLOCKS: dict[str, _Clock] = {
    "wait.seconds": _recorded("wait", _WAIT),
    "approval.timeoutSeconds": _recorded("approval", _ASKS),
    "the back-off": _follows("fails", _RETRY),
    "timeoutSeconds": _leaves("runs", "runs", _RUNS),
    "startTimeoutSeconds": _leaves("starts", "made", _STARTS),
    "deadlineSeconds of a task": _leaves("lasts", "made", _TASK),
    "repeat.delaySeconds": _follows("rounds", _ROUND),
    "finallyDeadlineSeconds": _leaves("tidy", "made", _FINALLY),
}

_ALARM: dict[str, _Clock] = {"deadlineSeconds": _leaves("on", "made", _RUN)}


def _story(cluster: Cluster, run: str) -> _Story:
    story, lives, uid = _Story(), dict[str, _Life](), cluster.get(WORKFLOWS, run)["metadata"]["uid"]
    for change in cluster.server.journal:
        if change.resource == PODS.plural and _run_of(change) == run:
            _note_pod(story, lives, change)
        elif change.uid == uid or change.after.get("workflowUID") == uid:
            _note_record(story, change)
    return story


def _run_of(change: Change) -> str:
    annotations = (change.after or change.before)["metadata"].get("annotations") or {}
    return str(annotations.get(labels.RUN_NAME, ""))


def _note_pod(story: _Story, lives: dict[str, _Life], change: Change) -> None:
    if change.verb == "create":
        life = lives[change.uid] = _Life(change.moment)
        story.pods.setdefault(change.after["metadata"]["annotations"][labels.NODE], []).append(life)
    life = lives[change.uid]
    phase = change.after.get("status", {}).get("phase")
    if phase == "Running" and life.runs is None:
        life.runs = change.moment
    if phase in ("Succeeded", "Failed") and life.over is None:
        life.over = change.moment
    leaves = not change.after or "deletionTimestamp" in change.after["metadata"]
    if leaves and life.leaves is None:
        life.leaves = change.moment


def _note_record(story: _Story, change: Change) -> None:
    if change.resource not in (WORKFLOWS.plural, TASKSTATUSSHARDS.plural):
        return
    status = change.after.get("status") or {}
    if "startTime" in status and story.begins is None:
        story.begins = change.moment
    for entry in change.after.get("tasks") or status.get("tasks") or ():
        if entry["phase"] in ("Succeeded", "Failed"):
            story.ends.setdefault(entry["name"], change.moment)
