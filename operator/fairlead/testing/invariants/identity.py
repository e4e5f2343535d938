"""S1: an attempt has one object, ever, and a node one live attempt at a time.

What somebody else made vanish may be asked for anew: its creator cannot know that it was there. A carrier whose hold
or owner was taken off by somebody else, and a child Workflow (which nothing holds) that somebody else deleted, are
therefore excused. So is a create that lands when its run is gone already: it was under way, and the garbage collector
takes what it made.
"""

from __future__ import annotations

from collections.abc import Iterator

from .world import Carrier, Step

__all__ = ["created_once", "one_at_a_time"]


def created_once(step: Step) -> Iterator[str]:
    """S1: the object of (run, node, attempt) is created once, even if it is gone by now."""
    for new, other in _others(step):
        if other.number == new.number and not other.tampered:
            yield f"{new} was created again: the one of version {other.version} was not taken away by anybody else"


def one_at_a_time(step: Step) -> Iterator[str]:
    """S1: when an attempt is created, no other attempt of its node goes on."""
    for new, other in _others(step):
        if not other.ended and not other.tampered:
            yield f"{new} was created while {other} goes on"


def _others(step: Step) -> Iterator[tuple[Carrier, Carrier]]:
    new = step.carrier
    if new is not None and step.change.verb == "create" and not new.run.deleting:
        yield from ((new, other) for other in new.run.carriers[new.node] if other is not new)
