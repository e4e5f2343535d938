"""Which finished runs are not kept any longer: by their own time to live, or as there are too many like them. Pure.

A run is *surplus* where more of its template's runs, or of its namespace's, have ended since than are to be kept;
those that succeeded and those that did not are counted apart. Runs that belong to another run go with it, and those
that a GitOps tool would apply again are never deleted: neither is counted.

What is due is deleted only when nothing speaks against it: nothing below it is still active, and, where there is an
archive, all of it is in there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = ["NO_LIMITS", "Cause", "Ended", "HistoryLimits", "Obstacle", "Verdict", "judge", "surplus"]


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """How many runs that have ended are kept: of those that succeeded, and of the others. None: all of them."""

    succeeded: int | None = None
    failed: int | None = None

    def of(self, succeeded: bool) -> int | None:
        """Return the one that counts for a run that has ended so."""
        return self.succeeded if succeeded else self.failed

    @property
    def any(self) -> bool:
        """Whether it limits anything."""
        return self.succeeded is not None or self.failed is not None


NO_LIMITS = HistoryLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run that has ended, as far as it counts here. `template` is "" for one with tasks of its own."""

    uid: str
    namespace: str
    template: str
    succeeded: bool
    finished_at: datetime


class Cause(StrEnum):
    """Why a run is deleted."""

    TTL = "Ttl"
    HISTORY = "HistoryLimit"


class Obstacle(StrEnum):
    """What a run that is due has to wait for."""

    ACTIVE = "something below it is still active"
    ARCHIVE = "it is not archived yet"
    LOGS = "logs of it are still being kept"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a run that has ended.

    `seconds` until it is due, None for never; at 0 or below it is, because of `cause`, unless there is an `obstacle`.
    """

    seconds: float | None = None
    cause: Cause | None = None
    obstacle: Obstacle | None = None

    @property
    def is_due(self) -> bool:
        """Whether its time has come, whatever may still be in the way."""
        return self.seconds is not None and self.seconds <= 0

    @property
    def deletes(self) -> bool:
        """Whether it is to be deleted now."""
        return self.is_due and self.obstacle is None


def surplus(
    ended: Iterable[Ended],
    of_namespace: Callable[[str], HistoryLimits],
    of_template: Callable[[str, str], HistoryLimits],
) -> frozenset[str]:
    """Return the UIDs of the runs beyond the limits of their namespace or of their template. O(n log n).

    The latest are kept; of runs that have ended within the same second, those with the greater UID.
    """
    kinds: dict[tuple[str, str | None, bool], list[Ended]] = defaultdict(list)
    for run in ended:
        kinds[run.namespace, None, run.succeeded].append(run)
        if run.template:
            kinds[run.namespace, run.template, run.succeeded].append(run)
    beyond: set[str] = set()
    for (namespace, template, succeeded), runs in kinds.items():
        limits = of_namespace(namespace) if template is None else of_template(namespace, template)
        limit = limits.of(succeeded)
        if limit is not None and len(runs) > limit:
            runs.sort(key=lambda run: (run.finished_at, run.uid), reverse=True)
            beyond.update(run.uid for run in runs[limit:])
    return frozenset(beyond)


def judge(
    *,
    finished_at: datetime,
    now: datetime,
    ttl_seconds: int | None,
    is_surplus: bool,
    obstacles: Iterable[Obstacle] = (),
) -> Verdict:
    """Return what is to become of a run that has ended, and that nobody else deletes or brings back."""
    seconds, cause = (0.0, Cause.HISTORY) if is_surplus else (None, None)
    if ttl_seconds is not None:
        left = (finished_at + timedelta(seconds=ttl_seconds) - now).total_seconds()
        if seconds is None or left <= 0:
            seconds, cause = left, Cause.TTL
    if seconds is None or seconds > 0:
        return Verdict(seconds, cause)
    return Verdict(seconds, cause, next(iter(obstacles), None))
