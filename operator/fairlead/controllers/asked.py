"""What users have asked of a run, in its status and back: the epoch, the record of requests, and a stop. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fairlead.api.status import MAX_ACTIONS
from fairlead.engine.capacity import MESSAGE_CHARACTERS
from fairlead.engine.model import ActionKind, StopMode
from fairlead.engine.state import ActionRecord, RunState

from .records import text_of
from .views import time_of

__all__ = ["encode_asked", "encode_record", "recorded_actions", "recorded_epoch", "recorded_stop"]

#: Characters of what is said about all requests together.
_MESSAGES = 16 * 1024


def encode_asked(run: RunState) -> dict[str, Any]:
    """Return the members of a run's status that tell what users have asked for; empty where they have not."""
    found: dict[str, Any] = {}
    if run.epoch > 1:
        found["epoch"] = run.epoch
        found["epochTime"] = text_of(run.epoch_at)
    if run.actions:
        kept = run.actions[-MAX_ACTIONS:]
        characters = min(MESSAGE_CHARACTERS, _MESSAGES // len(kept))
        found["actions"] = [encode_record(each, characters) for each in kept]
    if run.stopping:
        mode = {"mode": run.stop_mode.value} if run.stop_mode else {}
        found["stop"] = {**mode, "reason": run.stopping}
    return found


def encode_record(record: ActionRecord, characters: int = MESSAGE_CHARACTERS) -> dict[str, Any]:
    """Return an entry of `status.actions`, its message cut to so many `characters`."""
    return {
        "uid": record.uid,
        "name": record.name,
        "action": record.action.value,
        "by": record.by,
        "time": text_of(record.at),
        "accepted": record.accepted,
        "reason": record.reason,
        "message": record.message[:characters],
    }


def recorded_epoch(status: Mapping[str, Any]) -> tuple[int, datetime | None]:
    """Return the retry epoch that a status shows, and when it began (None: with the run)."""
    return int(status.get("epoch", 1)), time_of(status.get("epochTime"))


def recorded_actions(status: Mapping[str, Any]) -> Sequence[ActionRecord]:
    """Return the requests on record, oldest first. One that only a newer release knows is left out."""
    kinds = set(ActionKind)
    return [_read(each) for each in status.get("actions") or () if each["action"] in kinds]


def _read(record: Mapping[str, Any]) -> ActionRecord:
    at = time_of(record["time"])
    assert at is not None, "it is written with its time"
    return ActionRecord(
        uid=record["uid"],
        name=record["name"],
        action=ActionKind(record["action"]),
        by=record.get("by", ""),
        at=at,
        accepted=record["accepted"],
        reason=record.get("reason", ""),
        message=record.get("message", ""),
    )


def recorded_stop(status: Mapping[str, Any]) -> tuple[str, StopMode | None]:
    """Return why and how a run was being stopped; `("", None)` where it was not."""
    stop = status.get("stop") or {}
    return stop.get("reason", ""), StopMode(stop["mode"]) if "mode" in stop else None
