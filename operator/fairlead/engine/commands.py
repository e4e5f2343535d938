"""What the engine wants done, as tagged values. Whoever carries them out may crash before, between and after them.

Each is idempotent: names are deterministic, so a second `StartAttempt` finds the first one's object, and ending or
releasing what is already gone is success. Failures come back as facts (`events.py`), never as exceptions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from fairlead.engine.model import Json, WorkKind

__all__ = ["Command", "EndAttempt", "EventType", "RecordEvent", "ReleaseAttempt", "StartAttempt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAttempt:
    """Create the object `object_name` that carries attempt `number` of `node`. `work` is what `Work.evaluate` gave.

    For a kind without an object (`Wait`, `Http`): begin to carry the attempt out. It is on record already, and may
    have been begun before: `resumed` tells that this controller did not see it begin.
    `resources` replace those of the work's main container, after a failure that asked for it. `index` is that of an
    item, `iteration` the round of a `repeat`. `succeeds` is the object of the attempt before it in a newer epoch: a
    child Workflow is run again from its failure, rather than from its beginning.
    """

    node: str
    number: int
    object_name: str
    kind: WorkKind
    work: Json
    resources: Json = None
    index: int | None = None
    iteration: int = 1
    resumed: bool = False
    succeeds: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndAttempt:
    """Record `reason` durably on the object, then delete it; its outcome is reported as usual when it has ended.

    `force` does not wait for a node that does not answer. Of a kind without an object nothing more is reported.
    """

    node: str
    number: int
    object_name: str
    kind: WorkKind
    reason: str
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAttempt:
    """Take our finalizer off the object: its outcome is recorded."""

    node: str
    number: int
    object_name: str
    kind: WorkKind


class EventType(StrEnum):
    """Kubernetes' two types of Event."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordEvent:
    """Tell people about a transition, as a Kubernetes Event on the Workflow. Best effort.

    `key` identifies the transition, so that telling it again after a crash is recognised as a repeat.
    """

    type: EventType
    reason: str
    message: str
    key: str


Command: TypeAlias = StartAttempt | EndAttempt | ReleaseAttempt | RecordEvent
