"""Replicas: which of them live, who holds which group of buckets, and how a group changes hands.

Each replica is a member, by a Lease of its own that it renews. Each group of buckets has a Lease, too, which names the
member that holds it and is written only when that changes. What a member holds counts until its own deadline: the
moment before its last renewal was sent, and a lease time less a margin. It is measured by the monotonic clock, as is
for how long the Lease of another one has not changed.

Nobody takes a group of a member that lives. One that does not renew is *evicted* first, by emptying its Lease as it was
last seen. If it has renewed meanwhile, that fails. If it wakes up later, its own renewal fails, and it knows that it
has lost everything; if that succeeds, nobody has taken anything from it. A member that was evicted comes back as
another one.

That a group is ours is made sure of at each renewal, for its Lease can be changed or deleted by hand. One that is gone
is written anew by whoever held it, at once, and by somebody else only when its holder must have noticed.

What follows from holding a group, or not, is the business of `Duties`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from math import inf

from fairlead.api import labels
from fairlead.engine.wording import few
from fairlead.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, NotFound
from fairlead.kube.informer import Informer
from fairlead.kube.lease import Lease, Leases, Stillness, lease_view
from fairlead.kube.observer import Observer
from fairlead.kube.resources import LEASES, ObjectKey
from fairlead.kube.transport import ApiClient

from .buckets import ALL, Holdings, assign
from .duties import Duties
from .membership import LEASE_SECONDS, MARGIN_SECONDS, MEMBER, OURS, Membership

__all__ = ["Replicas"]

log = logging.getLogger(__name__)

#: Seconds between two renewals, and until one that failed is tried again.
_RENEW_SECONDS, _AGAIN_SECONDS = 2.0, 0.5

#: After so many seconds without a renewal the process is of no use, whatever is wrong with it.
_HOPELESS_SECONDS = 12.0 * LEASE_SECONDS

#: For so long at most a member is believed to live that does not renew its Lease, whatever that says.
_LONGEST_SECONDS = 3 * LEASE_SECONDS

#: For so long the Lease of a member that is no more is left there.
_BURIED_SECONDS = 60.0

#: Nobody is kept waiting for requests that must not be sent twice for longer than this.
_PATIENCE_SECONDS = 60.0

_GROUP, _BUCKETS = "fairlead-buckets-", "buckets"


class Replicas:
    """One replica among the others. It keeps `holdings` up to date; run it once everything else is at work.

    Attributes:
        problem: why its own Lease could not be renewed the last time, and what helps; "" where it could.
    """

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        name: str,
        holdings: Holdings,
        duties: Duties,
        observer: Observer,
    ) -> None:
        self.problem = ""
        self._clock = asyncio.get_running_loop().time
        self._namespace = namespace
        self._leases = Leases(client, namespace, lasts=LEASE_SECONDS, seconds=LEASE_SECONDS / 3)
        self._membership = Membership(self._leases, name)
        self._holdings = holdings
        self._duties = duties
        self._held: dict[int, Lease] = {}
        self._evicted: set[str] = set()
        self._bereft: set[int] = set()
        self._torn_away_at = -inf
        self._stillness = Stillness(self._clock)
        self._overdue: dict[int, float] = {}
        self._focus: frozenset[int] = frozenset()
        self._news = asyncio.Event()
        self._renewing = asyncio.Lock()
        self._paused = self._closing = self._left = False
        self._failing_since: float | None = None
        self._moved_at = self._clock()
        self.informer = Informer(
            client,
            LEASES,
            project=lease_view,
            on_change=self._heard,
            namespace=namespace,
            label_selector=labels.LEASE,
            observer=observer,
        )

    def idle(self) -> float:
        """Return for how many seconds nothing was tried."""
        return self._clock() - self._moved_at

    async def run(self) -> None:
        """Be a member until cancelled. Raises where that has not been possible for long."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stay_member(), name="replicas-membership")
            group.create_task(self._watch_deadline(), name="replicas-deadline")
            group.create_task(self._attend(), name="replicas-groups")

    def close(self) -> None:
        """Take nothing more, and keep what is held until :meth:`leave`."""
        self._closing = True

    async def leave(self) -> None:
        """Let the others have everything, at once."""
        self._closing = self._left = True
        async with self._renewing:
            self._give_up(frozenset(self._held))
            try:
                await self._membership.leave()
            except ApiError as error:
                log.warning("the other replicas have to wait until the lease is over: %s", error)

    # -- being a member

    async def _stay_member(self) -> None:
        while True:
            async with self._renewing:
                wait = _RENEW_SECONDS if self._left else await self._renew()
            await asyncio.sleep(wait)

    async def _renew(self) -> float:
        """Renew once. Returns after how many seconds to do so again."""
        sent = self._moved_at = self._clock()
        held = dict(self._held)
        try:
            kept, stored = await self._keep(listing=bool(held))
        except ApiError as error:
            self.problem = _explain(error, self._namespace)
            if self._failing_since is None:
                self._failing_since = sent
                log.warning("cannot renew the lease: %s", self.problem)
            if sent - self._failing_since > _HOPELESS_SECONDS:
                raise TimeoutError(f"no lease could be had for {_HOPELESS_SECONDS:.0f} s: {self.problem}") from error
            return _AGAIN_SECONDS
        self.problem = ""
        if not kept:
            self._failing_since = None
            log.warning("the lease was lost: another replica goes on with what this one did")
            self._bereft.clear()
            self._holdings.term += 1
            self._give_up(frozenset(self._held))
            return 0.0
        self._failing_since = None
        self._drop_what_is_not_ours(held, stored)
        resumed, self._paused = not self._holdings.count, False
        self._holdings.deadline = sent + LEASE_SECONDS - MARGIN_SECONDS
        if resumed:
            self._news.set()
        if resumed and self._held:
            self._duties.begin(self._holdings.groups)  # nobody has taken them, or we would have been evicted
        return max(0.0, sent + _RENEW_SECONDS - self._clock())

    async def _keep(self, *, listing: bool) -> tuple[bool, dict[str, Lease]]:
        """Renew the membership, and read the Leases of all groups meanwhile: one after the other takes too long."""
        kept, stored = await asyncio.gather(
            self._membership.keep(),
            self._leases.list(f"{labels.LEASE}={_BUCKETS}") if listing else _nothing(),
            return_exceptions=True,
        )
        if isinstance(kept, BaseException):
            raise kept
        if isinstance(stored, BaseException) and kept:
            raise stored
        return kept, {} if isinstance(stored, BaseException) else stored

    async def _watch_deadline(self) -> None:
        while True:
            left = self._holdings.deadline - self._clock()
            if left <= 0 and self._held and not self._paused:
                log.warning("the lease is over: nothing is done until it is renewed")
                self._paused = True
                self._duties.pause(self._holdings.groups)
            await asyncio.sleep(max(left, _AGAIN_SECONDS))

    # -- who holds what

    def _heard(self, _key: ObjectKey, old: Lease | None, new: Lease | None) -> None:
        if new is not None and new.name.startswith(MEMBER):
            self._stillness.since(new.name, new.version)
        if new is None and old is not None and old.holder:
            self._torn_away_at = self._clock()  # we delete only those that nobody holds
            gone = {group for group in self._held if old.name == f"{_GROUP}{group}"}
            self._drop({group for group in gone if int(old.version) >= int(self._held[group].version)})
        if new is not None and new.holder not in ("", self._membership.identity):
            self._bereft -= {group for group in self._bereft if new.name == f"{_GROUP}{group}"}
        if old is None or new is None or old.holder != new.holder:
            self._news.set()

    async def _attend(self) -> None:
        while True:
            self._news.clear()
            try:
                wait = await self._look()
            except ApiError as error:
                log.warning("cannot see to the leases: %s", error)
                wait = _AGAIN_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()

    async def _look(self) -> float:
        """Look at all Leases and do what follows. Returns in how many seconds to look again."""
        me = self._membership.identity
        if not (self.informer.synced.is_set() and self._holdings.count and me) or self._closing:
            return _AGAIN_SECONDS
        known = {lease.name: lease for _, lease in self.informer.items()}
        live, wait = await self._living(known.values(), me)
        wanted = assign({*live, me})
        self._drop_what_is_changed(known, me)
        await self._hand_over({group for group in ALL if wanted[group] != me}, known, me)
        free = [group for group in ALL if wanted[group] == me and group not in self._held]
        dues = [self._free_at(known, group, me, alone=not live) - self._clock() for group in free]
        await self._take([group for group, due in zip(free, dues, strict=True) if due <= 0], known, me)
        if self._focus != self._holdings.groups and me == self._membership.identity:
            await self._look_at(self._holdings.groups)
        await self._bury(known)
        return min([wait, *(due for due in dues if due > 0)])

    async def _living(self, leases: Iterable[Lease], me: str) -> tuple[set[str], float]:
        """Return the other members that live, and in how many seconds the next of them may be dead; evict the dead."""
        live, wait = set(), _RENEW_SECONDS
        for lease in leases:
            if not lease.name.startswith(MEMBER) or lease.holder in ("", me) or lease.holder in self._evicted:
                continue
            left = self._stillness.since(lease.name, lease.version) + _lasting(lease) - self._clock()
            if left > 0:
                live.add(lease.holder)
                wait = min(wait, left)
                continue
            try:
                await self._leases.write(lease, "")
            except (Conflict, NotFound):
                live.add(lease.holder)  # it has moved: the watch will tell how
            else:
                log.warning("the replica %s is dead", lease.holder)
                self._evicted.add(lease.holder)
        return live, wait

    def _free_at(self, known: dict[str, Lease], group: int, me: str, *, alone: bool) -> float:
        """Return from when on a group may be taken; in the past if it may be now."""
        lease = known.get(f"{_GROUP}{group}")
        if lease is None:
            return self._free_without_lease_at(group, alone=alone)
        self._stillness.forget(lease.name)
        holder = lease.holder
        if holder in ("", me) or holder in self._evicted:
            return -1.0
        member = known.get(MEMBER + holder)
        if member is not None:
            return -1.0 if not member.holder else self._clock() + _RENEW_SECONDS
        # Somebody has taken its Lease away. It may not know yet.
        return self._stillness.since(MEMBER + holder, "gone") + LEASE_SECONDS

    def _free_without_lease_at(self, group: int, *, alone: bool) -> float:
        """Return from when on a group may be taken that has no Lease, so that it cannot be told who has held it."""
        if group in self._bereft:
            return -1.0  # it was us
        noticed = self._torn_away_at + LEASE_SECONDS
        return noticed if alone else max(noticed, self._stillness.since(f"{_GROUP}{group}", "gone") + LEASE_SECONDS)

    async def _take(self, groups: list[int], known: dict[str, Lease], me: str) -> None:
        leases = await asyncio.gather(*(self._seize(group, known.get(f"{_GROUP}{group}"), me) for group in groups))
        taken = {group: lease for group, lease in zip(groups, leases, strict=True) if lease is not None}
        if not taken:
            return
        await self._look_at(self._holdings.groups | taken.keys())
        if me != self._membership.identity or self._closing:
            return  # evicted meanwhile: they are somebody else's by now, or will be
        self._held |= taken
        self._bereft -= taken.keys()
        self._holdings.groups = frozenset(self._held)
        self._duties.begin(frozenset(taken))
        before = [known.get(f"{_GROUP}{group}") for group in taken]
        self._duties.taken_over(sum(lease is not None and lease.holder not in ("", me) for lease in before))
        log.info("this replica holds %d of %d groups of buckets", len(self._held), len(ALL))

    async def _seize(self, group: int, lease: Lease | None, me: str) -> Lease | None:
        """Write our name on a group. Returns None where that fails, or somebody was faster; the watch tells who.

        What has become of the others counts all the same: with a slow server, all of them would hardly ever succeed.
        """
        try:
            if lease is not None:
                return await self._leases.write(lease, me)
            return await self._leases.create(f"{_GROUP}{group}", me, labels={**OURS, labels.LEASE: _BUCKETS})
        except (AlreadyExists, Conflict, NotFound):
            return None
        except ApiError as error:
            log.warning("cannot take the group %d: %s", group, error)
            return None

    async def _hand_over(self, groups: set[int], known: dict[str, Lease], me: str) -> None:
        """Stop what we do for some groups, then let others have them."""
        self._overdue = {group: at for group, at in self._overdue.items() if group in groups}
        ready = frozenset(group for group in groups & self._held.keys() if not self._has_to_wait(group))
        leases = [self._held[group] for group in ready]
        self._give_up(ready)
        # And those of which we do not know whether we have got them, or let them go.
        named = (known.get(f"{_GROUP}{group}") for group in groups - ready - self._held.keys())
        leases += [lease for lease in named if lease is not None and lease.holder == me]
        for lease in leases:
            with suppress(Conflict, NotFound):
                await self._leases.write(lease, "")

    def _has_to_wait(self, group: int) -> bool:
        if self._duties.finish(group):
            self._overdue.pop(group, None)
            return False
        return self._clock() < self._overdue.setdefault(group, self._clock() + _PATIENCE_SECONDS)

    def _drop_what_is_not_ours(self, held: dict[int, Lease], stored: dict[str, Lease]) -> None:
        """Let go of groups that are stored as somebody else's, or not at all, though we hold them."""
        lost = set()
        for group, ours in held.items():
            found = stored.get(f"{_GROUP}{group}")
            as_it_was = found is not None and (found.uid, found.holder) == (ours.uid, ours.holder)
            if self._held.get(group) is ours and not as_it_was:
                lost.add(group)
        self._drop(lost)

    def _drop(self, groups: set[int]) -> None:
        if groups:
            log.warning("the leases of the groups %s were changed by hand", few([str(each) for each in sorted(groups)]))
            self._bereft |= groups
            self._give_up(frozenset(groups))
            self._news.set()

    def _drop_what_is_changed(self, known: dict[str, Lease], me: str) -> None:
        """Let go of groups whose Lease somebody has changed by hand."""
        changed = {
            group
            for group, ours in self._held.items()
            if (lease := known.get(f"{_GROUP}{group}")) is not None
            and int(lease.version) > int(ours.version)
            and lease.holder != me
        }
        self._drop(changed)

    def _give_up(self, groups: frozenset[int]) -> None:
        for group in groups:
            del self._held[group]
            self._overdue.pop(group, None)
        self._holdings.groups = frozenset(self._held)
        if groups:
            self._duties.end(groups)

    async def _look_at(self, groups: frozenset[int]) -> None:
        self._focus = groups
        await self._duties.look_at(groups)

    async def _bury(self, known: dict[str, Lease]) -> None:
        """Delete the Leases of members that have been dead for a while."""
        named = {lease.holder for lease in known.values()}
        for lease in known.values():
            if not lease.name.startswith(MEMBER) or lease.holder or lease.name.removeprefix(MEMBER) in named:
                continue
            if self._clock() - self._stillness.since(lease.name, lease.version) < _BURIED_SECONDS:
                continue
            with suppress(Conflict, NotFound):
                await self._leases.delete(lease)
            self._stillness.forget(lease.name)
            self._evicted.discard(lease.name.removeprefix(MEMBER))


def _lasting(lease: Lease) -> int:
    """Return for how many seconds a member lives after a renewal.

    That is what its Lease says, as another version may have another number. But an edit must not have one evicted that
    may still write, nor keep what a dead one holds for an hour.
    """
    return min(max(lease.seconds, LEASE_SECONDS), _LONGEST_SECONDS)


async def _nothing() -> dict[str, Lease]:
    return {}


def _explain(error: ApiError, namespace: str) -> str:
    match error:
        case NotFound():
            return (
                f"--lease-namespace names {namespace!r}, and there is no such namespace; all replicas need the same one"
            )
        case Forbidden():
            return (
                f"not allowed to keep Leases in namespace {namespace!r}: grant get, list, watch, create, patch and "
                f'delete on "leases" of apiGroup "coordination.k8s.io" there ({error.message})'
            )
        case _:
            return str(error)
