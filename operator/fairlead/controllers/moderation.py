"""While many pods are under way, what comes is taken in by the bunch: as network cards moderate their interrupts.

Each awakening of the loop costs more than what it awakes for: by then the API server, on the same machine or not, has
pushed our code and data out of the processor's caches. Where dozens of pods are under way the API server is the limit,
and each of them waits for it many times longer than a bunch takes to gather.

What the loop does when it is awake is not decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fairlead.engine.classify import JobView, PodView
from fairlead.engine.model import WorkKind
from fairlead.kube.resources import ObjectKey

__all__ = ["Moderation"]

#: So many pods and Jobs under way are a crowd. Each of fewer may be what its run waits for.
_CROWD = 32

#: Seconds that the loop is awake for what it was awoken by, at least, and that it sleeps then.
_AWAKE_SECONDS, _ASLEEP_SECONDS = 0.001, 0.01


class Moderation:
    """Knows what is under way, by an informer's callback, and lets the loop sleep after news of one of a crowd.

    `sleep` holds up the whole loop for so many seconds: `time.sleep`.
    """

    def __init__(self, sleep: Callable[[float], object]) -> None:
        self._sleep = sleep
        # What is under way and not how much: the last that is told of one may be more than was known of it.
        self._under_way: set[tuple[WorkKind, ObjectKey]] = set()
        self._due = False

    def changed(self, kind: WorkKind, key: ObjectKey, new: object) -> None:
        """Take note of a change; `new` is a view, None where there is none any more."""
        if _is_under_way(new):
            self._under_way.add((kind, key))
        else:
            self._under_way.discard((kind, key))
        if len(self._under_way) >= _CROWD and not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(_AWAKE_SECONDS, self._rest)

    def _rest(self) -> None:
        self._due = False
        self._sleep(_ASLEEP_SECONDS)


def _is_under_way(view: object) -> bool:
    match view:
        case PodView():
            return view.phase not in ("Succeeded", "Failed")
        case JobView():
            return view.succeeded is None
    return False
