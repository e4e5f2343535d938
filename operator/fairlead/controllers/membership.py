"""A replica's own Lease: what makes it a member, for as long as it renews it."""

from __future__ import annotations

import random

from fairlead.api import labels
from fairlead.engine.names import label_value
from fairlead.kube.errors import AlreadyExists, Conflict, NotFound
from fairlead.kube.lease import Lease, Leases

__all__ = ["LEASE_SECONDS", "MARGIN_SECONDS", "MEMBER", "OURS", "Membership"]

#: For how long a member is believed to live after a renewal; what is taken off that for its own deadline.
LEASE_SECONDS, MARGIN_SECONDS = 10, 2.0

#: How the Leases of members are called, before their identity.
MEMBER = "fairlead-replica-"

#: Labels of all Leases of ours.
OURS = {labels.MANAGED_BY: "fairlead"}


class Membership:
    """Keeps the Lease of one replica. `identity` is the name by which the others know it, "" while it is none."""

    def __init__(self, leases: Leases, name: str) -> None:
        self._leases = leases
        self._name = label_value(name)
        self._lease: Lease | None = None
        self.identity = ""

    async def keep(self) -> bool:
        """Join, or renew. Returns False if we were evicted; the next call then joins anew. Raises `ApiError`."""
        if self._lease is None:
            self._lease = await self._join()
        return await self._write(self.identity)

    async def leave(self) -> None:
        """Let everybody have what we hold, at once. Raises `ApiError`."""
        if self._lease is not None:
            await self._write("")
            self._lease = None

    async def _join(self) -> Lease:
        # One that was before must not be taken for this one: everything that it held is lost.
        self.identity = self.identity or f"{self._name}-{random.getrandbits(32):08x}"
        name = MEMBER + self.identity
        try:
            return await self._leases.create(name, self.identity, labels={**OURS, labels.LEASE: "replica"})
        except AlreadyExists:
            # Our own, of a request whose answer was lost; unless it was too long ago.
            identity, self.identity = self.identity, ""
            found = await self._leases.get(name)
            if found.holder != identity:
                return await self._join()
            self.identity = identity
            return found

    async def _write(self, holder: str) -> bool:
        while True:
            assert self._lease is not None
            try:
                self._lease = await self._leases.write(self._lease, holder)
            except NotFound:
                break
            except Conflict:
                try:
                    found = await self._leases.get(self._lease.name)
                except NotFound:
                    break
                if (found.uid, found.holder) != (self._lease.uid, self.identity):
                    break
                if found.version == self._lease.version:
                    raise  # refused for another reason
                self._lease = found  # our own write, whose answer was lost: nobody else writes our name
            else:
                return True
        self._lease, self.identity = None, ""
        return False
