"""S12, where replicas divide the runs among them: a create leaves only while its sender holds the run's bucket.

And nothing at all that would be stored leaves from one that was evicted, such as a process that was held up and wakes
up, even where it would be refused: that there is somebody else's object by the same name is another safeguard.
Judged by what is stored when it leaves: the Lease of the bucket's group names a member of the sender's, and that member
was not evicted. That is so for as long as the sender may believe it, by its own deadline, since nobody else changes
either before that. An operator may write nothing but Leases of these two kinds, where all operators have them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.engine.names import bucket, bucket_of_key
from fairlead.kube.resources import EVENTS, LEASES
from fairlead.testing.apiserver.exchange import Request
from fairlead.testing.apiserver.store import Change

from .departures import Departure, Process

__all__ = ["Leasing", "wrong_lease"]

_Json = Mapping[str, Any]

_MEMBER, _GROUP = "fairlead-replica-", "fairlead-buckets-"

#: What makes a member, and what only tells.
_NOT_FENCED = (LEASES.plural, EVENTS.plural)

#: 256 buckets in 16 groups.
_SIZE = 16


class Leasing:
    """Keeps in mind who holds what."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}

    def take(self, change: Change) -> None:
        """Take in a change."""
        if change.resource == LEASES.plural:
            self._holders[change.key.name] = (change.after.get("spec") or {}).get("holderIdentity") or ""

    def of_a_member(self, request: Request, process: Process) -> Iterator[str]:
        """S12: what an operator writes leaves while it is a member, if there are any Leases."""
        kind = next((part for part in request.path.split("/") if part in _NOT_FENCED), "")
        if not self._holders or kind or request.path.endswith("reviews"):
            return
        host = process.name.partition("/")[0]
        members = [name for name, holder in self._holders.items() if name.startswith(_MEMBER) and holder]
        if not any(name.removeprefix(_MEMBER).rpartition("-")[0] == host for name in members):
            yield f"{request.method} {request.path} left from {process}, which had been evicted"

    def held_by_its_sender(self, departure: Departure) -> Iterator[str]:
        """S12: the sender of a create holds the bucket of its run, if there are any Leases."""
        if not self._holders:
            return
        key = departure.run.record.status.get("concurrencyKey")
        number = bucket(departure.run.uid) if key is None else bucket_of_key(departure.run.key.namespace, key)
        group = number // _SIZE
        holder = self._holders.get(f"{_GROUP}{group}", "")
        host = departure.process.name.partition("/")[0]
        if holder.rpartition("-")[0] != host:
            yield f"{departure} left, and the group {group} was held by {holder or 'nobody'}"
        elif self._holders.get(f"{_MEMBER}{holder}") != holder:
            yield f"{departure} left, and {holder} had been evicted"


def wrong_lease(change: Change) -> str:
    """Return what is wrong with an operator's change of a Lease, "" where nothing is."""
    name = change.key.name
    if not name.startswith((_MEMBER, _GROUP)):
        return "it is not one of the operators'"
    before, after = change.before, change.after
    if change.verb == "create":
        return ""
    if not after:
        holder = (before.get("spec") or {}).get("holderIdentity")
        return "" if name.startswith(_MEMBER) and not holder else "somebody holds it"
    was, now = ((each.get("spec") or {}).get("holderIdentity") for each in (before, after))
    if name.startswith(_MEMBER) and now not in (None, was):
        return f"a member that was {was or 'nobody'} is {now}"
    return ""
