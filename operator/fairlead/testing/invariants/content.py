"""S15, S17: what an operator writes is small enough, and tells no secret."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import orjson

from fairlead.kube.resources import EVENTS, TASKSTATUSSHARDS

from .world import Step

__all__ = ["Canaries", "SizeLimit"]


class SizeLimit:
    """S15: no object is larger, as JSON, than `limit` bytes after an operator has written it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def __call__(self, step: Step) -> Iterator[str]:
        """Yield an object that has become too large."""
        change = step.change
        if not step.operator or not change.after:
            return
        size = _size(step)
        if size > self._limit:
            kind = change.served.resource.kind
            yield f"{kind} {change.key} has {size} bytes; an object the operator writes may have {self._limit}"


def _size(step: Step) -> int:
    # Watches are told first, and what they are told is encoded already: the object, and a few words around it.
    for (_, metadata_only), line in step.change.lines.items():
        if not metadata_only:
            return len(line)
    return len(orjson.dumps(step.change.after))


class Canaries:
    """S17: texts that were put where secrets are do not turn up in what an operator tells people.

    That is its status, shards, Events, labels and annotations. The spec of a pod is not looked at: what a user writes
    there is the user's.
    """

    def __init__(self, canaries: Collection[str]) -> None:
        self._canaries = [(canary, canary.encode()) for canary in canaries]

    def __call__(self, step: Step) -> Iterator[str]:
        """Yield what has been told."""
        change = step.change
        if not self._canaries or not step.operator or not change.after:
            return
        after = change.after
        if change.resource in (EVENTS.plural, TASKSTATUSSHARDS.plural):
            told = after
        else:
            told = {"metadata": after["metadata"], "status": after.get("status") if change.subresource else None}
        text = orjson.dumps(told)
        for canary, encoded in self._canaries:
            if encoded in text:
                yield f"{change.served.resource.kind} {change.key} tells {canary!r}"
