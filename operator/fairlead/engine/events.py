"""Facts that the shell reports to the engine, as tagged values.

A fact says what *is*, not what to do, and may be repeated, late or out of order: `plan()` must come to the same
state. Facts about pods and Jobs arrive classified (`classify.py`); the engine never sees a manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from fairlead.engine.model import ActionKind, FailureClass, Graph, Json, Phase, StopMode
from fairlead.engine.state import Outcome

__all__ = ["AttemptGone", "AttemptSeen", "Event", "StartRefused", "StatusRecorded", "UserAction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSeen:
    """The object that carries an attempt exists, and this is how it stands.

    `running_at` is set once its main container has started, `outcome` once it has ended. `reason` and `message`
    tell why it does not get on (`Unschedulable`, `ImagePull`); with `stuck_since`, when it began to try, it never will
    without somebody's help.
    `main_ended_at` is set when the main container has ended but the object has not. `ending` is the reason found on
    the object if we asked for its end, `deleting` whether its deletion was asked for by anybody and `deleting_at` when
    it should be gone, `held` whether our finalizer is on it.
    """

    node: str
    number: int
    object_name: str
    started_at: datetime
    running_at: datetime | None = None
    node_name: str = ""
    reason: str = ""
    message: str = ""
    stuck_since: datetime | None = None
    main_ended_at: datetime | None = None
    ending: str = ""
    deleting: bool = False
    deleting_at: datetime | None = None
    held: bool = False
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptGone:
    """The object that carried an attempt is not there any more; confirmed, not guessed from a watch event."""

    node: str
    number: int
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRefused:
    """An attempt could not be created, and nothing was.

    With `retry_at` the node goes back to the queue until then (quota, lost rights, an outage); otherwise the
    attempt has failed with `failure_class` (a pod that the API server calls invalid will be invalid again).
    """

    node: str
    number: int
    reason: str
    message: str
    retry_at: datetime | None = None
    failure_class: FailureClass = FailureClass.CONFIGURATION


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRecorded:
    """A status that shows everything up to `revision` is persisted."""

    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAction:
    """A WorkflowAction: what somebody asks of the run. Told again after a restart until it is on record.

    `by` and `groups` say who asks; `verified` that the API server has checked that it is them. `tasks` are names of
    tasks, items or groups; which of the other fields mean something depends on `kind`: `phase` for Mark, `mode` for
    Stop, `values` for Approve, Reject, Complete and Mark, `token` for Complete, Reject and Heartbeat of a callback,
    `graph` for Retry and Clear: the definition by which the run is to go on, where that is not the one it began with.
    """

    uid: str
    name: str
    kind: ActionKind
    created_at: datetime
    by: str
    groups: tuple[str, ...] = ()
    verified: bool = False
    tasks: tuple[str, ...] = ()
    phase: Phase | None = None
    mode: StopMode | None = None
    values: Mapping[str, Json] = field(default_factory=dict)
    token: str = ""
    graph: Graph | None = None
    reason: str = ""


Event: TypeAlias = AttemptSeen | AttemptGone | StartRefused | StatusRecorded | UserAction
