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
    """Create the object `object_name` that carries attempt `number` of `node`. `work` is what `Work.evaluate` gave."""

    node: str
    number: int
    object_name: str
    kind: WorkKind
    work: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class EndAttempt:
    """Record `reason` durably on the object, then delete it; its outcome is reported as usual when it has ended."""

    node: str
    number: int
    object_name: str
    kind: WorkKind
    reason: str


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
