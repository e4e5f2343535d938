"""What the audit log says existed, against what is on record: what was lost, and what was repeated. Pure.

An attempt's object has a name of its own, for ever. So each name on record has to have been created once, and each
that was created has to be on record. A create that was answered 201 made an object. One that the operator's death cut
off, or a slow etcd, is logged as 504 or another error of the server, and may have made one all the same; one that the
API server's own death cut off is not in the log at all. Of those other entries tell:

- A request that names the object and was answered with success proves that there was one: the scheduler's binding, the
  Job controller's status, a write of a sub-workflow's status, an eviction, the patch that lets go of it, its delete. So
  does AlreadyExists, answered to the operator's own create.
- Two UIDs prove two objects of one name: a binding names one, and so do a written status of a Job and the answer to a
  delete that is final.
- A proof before a create that was answered 201 was asked for proves two objects as well.

What the log cannot say: whether a create that was cut off made an object that was gone again before anybody wrote to
it; whether it made a second one of a name whose UID nobody told. Nobody tells that of a sub-workflow before its delete.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["AGENT", "Ledger", "Witness", "compare", "read"]

#: How the operator introduces itself. What else creates pods there (the Job controller) makes no attempts.
AGENT = "fairlead/"

#: The API's times are whole seconds.
_ROUNDING_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Witness:
    """What the log has of one kind of object in a namespace. `created` and `cut_off` are creates by the operator."""

    created: Counter[str]
    #: Names of which a create was not answered, or with an error of the server.
    cut_off: frozenset[str]
    #: How many objects of each name there were at least, whoever made them.
    objects: Counter[str]
    #: When the last one was created, by the clock of the API server; None if there was none.
    last: datetime | None = None

    @property
    def proven(self) -> frozenset[str]:
        """Names whose create was cut off, and of which there was an object all the same."""
        return frozenset(name for name in self.cut_off - set(self.created) if self.objects[name])


@dataclass(frozen=True, slots=True)
class Ledger:
    """Attempts that had an object, and what is wrong with them."""

    existed: frozenset[str]
    lost: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    #: On record, and neither created nor cut off as the log has it.
    invented: tuple[str, ...] = ()


@dataclass(slots=True)
class _Traces:
    """What the log has of one name."""

    #: When creates that were answered 201 were asked for.
    created: list[datetime] = field(default_factory=list)
    #: When it was answered otherwise that there is one.
    seen: list[datetime] = field(default_factory=list)
    uids: set[str] = field(default_factory=set)

    def objects(self) -> int:
        if not self.created:
            return max(len(self.uids), bool(self.seen))
        before = any(moment < min(self.created) for moment in self.seen)
        return max(len(self.uids), len(self.created) + before)


def read(entries: Iterable[Mapping[str, Any]]) -> Witness:
    """Read the entries of one kind, its subresources among them."""
    traces: defaultdict[str, _Traces] = defaultdict(_Traces)
    cut_off: set[str] = set()
    last: datetime | None = None
    for entry in entries:
        name = entry["objectRef"].get("name")
        if not name:
            continue
        code = entry.get("responseStatus", {}).get("code", 0)
        if not _is_create(entry):
            _take_proof(traces[name], entry)
        elif not entry.get("userAgent", "").startswith(AGENT):
            continue
        elif code == 201:
            traces[name].created.append(_moment(entry, "requestReceivedTimestamp"))
            last = _moment(entry, "stageTimestamp")
        elif code >= 500:
            cut_off.add(name)
        elif entry["responseStatus"].get("reason") == "AlreadyExists":
            traces[name].seen.append(_moment(entry, "stageTimestamp"))
    created = Counter({name: len(each.created) for name, each in traces.items() if each.created})
    objects = Counter({name: count for name, each in traces.items() if (count := each.objects())})
    return Witness(created, frozenset(cut_off), objects, last)


def compare(
    recorded: Mapping[str, datetime | None],
    witness: Witness,
    planned: Collection[str] = (),
    outages: Sequence[tuple[datetime, datetime]] = (),
) -> Ledger:
    """Compare. `recorded` has the objects' names, and when they were created by the record.

    `planned` are names that only attempts have: they count even if no create of theirs is in the log. `outages` are the
    times in which the API server died: what was created then is not expected in its log.
    """
    attempts = set(witness.created) | witness.cut_off | set(planned) | set(recorded)
    existed = {name for name in witness.objects if name in attempts}
    excused = {name for name, moment in recorded.items() if any(_within(moment, each) for each in outages)}
    return Ledger(
        existed=frozenset(existed | excused),
        lost=tuple(sorted(existed - set(recorded))),
        repeated=tuple(sorted(name for name in existed if witness.objects[name] > 1)),
        invented=tuple(sorted(set(recorded) - set(witness.created) - witness.cut_off - excused)),
    )


def _is_create(entry: Mapping[str, Any]) -> bool:
    return entry["verb"] == "create" and not entry["objectRef"].get("subresource")


def _take_proof(traces: _Traces, entry: Mapping[str, Any]) -> None:
    answer = entry.get("responseStatus", {})
    if answer.get("code") not in (200, 201, 202):
        return
    traces.seen.append(_moment(entry, "stageTimestamp"))
    # What the request named was compared with the object's before it succeeded.
    uid = entry["objectRef"].get("uid") or answer.get("details", {}).get("uid")
    if uid:
        traces.uids.add(uid)


def _moment(entry: Mapping[str, Any], which: str) -> datetime:
    return datetime.fromisoformat(entry[which])


def _within(moment: datetime | None, outage: tuple[datetime, datetime]) -> bool:
    if moment is None:
        return False
    begin, end = outage
    return (begin - moment).total_seconds() <= _ROUNDING_SECONDS and (moment - end).total_seconds() <= _ROUNDING_SECONDS
