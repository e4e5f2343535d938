"""S10, L2: a world at rest stays at rest, and what is over leaves nothing behind.

At rest, an operator may still delete what it has kept for long enough: a pod or Job that has ended, a Workflow whose
TTL is over. Any change by somebody else ends the rest.

What somebody took our labels off is excused, although deletion should not hang on them: operators find objects by their
labels. An operator that sees it happen puts them back, or lets go of the object; one that is not there cannot know.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from fairlead.kube.resources import LEASES

from .objects import CARRYING, finished, has_ended, is_held
from .world import Run, Step, World

__all__ = ["Rest", "held_after_deletion", "left_behind"]


class Rest:
    """S10: from `begin` on, for so many seconds, no operator writes anything, unless somebody else does."""

    def __init__(self, seconds: float) -> None:
        self._seconds = timedelta(seconds=seconds)
        self._since: datetime | None = None

    def begin(self, moment: datetime) -> None:
        """The world is at rest."""
        self._since = moment

    def __call__(self, step: Step) -> Iterator[str]:
        """Yield a write that nothing has caused."""
        change = step.change
        if self._since is None or change.resource == LEASES.plural:
            return  # that an operator is alive has to be said again and again
        if not step.operator or change.moment > self._since + self._seconds:
            self._since = None
        elif not _is_retention(step):
            what = f"{change.verb} of {change.served.resource.kind} {change.key} {change.subresource}".strip()
            yield f"{what}: nothing had changed since {self._since}"


def _is_retention(step: Step) -> bool:
    change = step.change
    deletes = not change.after or "deletionTimestamp" in change.after["metadata"]
    return deletes and change.resource in CARRYING and has_ended(change.resource, change.before)


def left_behind(world: World) -> Iterator[str]:
    """L2: at rest, a run that is over has nothing live and nothing held, and one that is gone no shards."""
    for run in world.runs.values():
        if run.deleting or finished(run.record.status):
            state = "gone" if run.gone else "being deleted" if run.deleting else "over"
            yield from (f"{run} is {state}, and {what}" for what in _leftovers(run))
    yield from held_after_deletion(world)


def _leftovers(run: Run) -> Iterator[str]:
    if run.deleting:
        return  # its pods are the garbage collector's, or orphans that run on; see `held_after_deletion`
    for carriers in run.carriers.values():
        for each in carriers:
            if each.tampered:
                continue  # at the latest, it is let go of when the run is deleted
            if each.held:
                yield f"{each} is still held"
            elif not each.ended and (each.obj.get("status") or {}).get("epoch", 1) == 1:
                yield f"{each} goes on"


def held_after_deletion(world: World) -> Iterator[str]:
    """L2: nothing of a run that is gone is held by our finalizer."""
    for run in world.runs.values():
        if run.gone:
            for carriers in run.carriers.values():
                held = (each for each in carriers if each.held and not each.hidden)
                yield from (f"{run} is gone, and {each} is still held" for each in held)
    for run_uid, shard in world.shards.values():
        run = world.runs[run_uid]
        if run.gone and is_held(shard):
            meta = shard["metadata"]
            yield f"{run} is gone, and the shard {meta.get('namespace')}/{meta['name']} is still held"
