"""What the audit log says was created, against what is on record: what was lost, and what was repeated. Pure.

An attempt's object has a name of its own, for ever. So each name on record has to have been created once (201 in the
log), and each name that was created has to be on record. A create that the operator's death cut off has no 201: the
API server logs 504, and may have stored the object all the same. One that the API server's own death cut off is not in
the log at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = ["Ledger", "Witness", "compare", "read"]

#: How the operator introduces itself. What else creates pods there (the Job controller) makes no attempts.
AGENT = "fairlead/"

#: The API's times are whole seconds.
_ROUNDING_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Witness:
    """The creates of one namespace by the operator: how often each name was answered 201, and which were cut off."""

    created: Counter[str]
    cut_off: frozenset[str]
    #: When the last one was created, by the clock of the API server; None if there was none.
    last: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """Attempts that have an object, and what is wrong with them."""

    attempts: int
    lost: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    #: On record, and neither created nor cut off as the log has it.
    invented: tuple[str, ...] = ()


def read(entries: Iterable[Mapping[str, Any]]) -> Witness:
    """Read the entries of creates. Those of somebody else are left out."""
    created: Counter[str] = Counter()
    cut_off: set[str] = set()
    last: datetime | None = None
    for entry in entries:
        name = entry["objectRef"].get("name")
        if not name or not entry.get("userAgent", "").startswith(AGENT):
            continue
        match entry.get("responseStatus", {}).get("code"):
            case 201:
                created[name] += 1
                last = datetime.fromisoformat(entry["stageTimestamp"])
            case 504:
                cut_off.add(name)
            case _:
                continue
    return Witness(created, frozenset(cut_off), last)


def compare(
    recorded: Mapping[str, datetime | None],
    witness: Witness,
    outages: Sequence[tuple[datetime, datetime]] = (),
) -> Ledger:
    """Compare. `recorded` has the objects' names, and when they were created by the record.

    `outages` are the times in which the API server died: what was created then is not expected in its log.
    """
    unheard = set(recorded) - set(witness.created) - witness.cut_off
    invented = {name for name in unheard if not any(_within(recorded[name], each) for each in outages)}
    return Ledger(
        attempts=len(set(recorded) | set(witness.created)),
        lost=tuple(sorted(set(witness.created) - set(recorded))),
        repeated=tuple(sorted(name for name, count in witness.created.items() if count > 1)),
        invented=tuple(sorted(invented)),
    )


def _within(moment: datetime | None, outage: tuple[datetime, datetime]) -> bool:
    if moment is None:
        return False
    begin, end = outage
    return (begin - moment).total_seconds() <= _ROUNDING_SECONDS and (moment - end).total_seconds() <= _ROUNDING_SECONDS
