"""Which runs belong to which replica: buckets, their groups, and what a replica holds at this moment.

A run is in one of 256 buckets for good. Replicas divide groups of buckets among them, so that the number of Leases, and
of writes when one changes hands, is small.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from hashlib import sha256
from math import inf

from fairlead.api import labels
from fairlead.engine.names import BUCKETS, bucket, bucket_of_key
from fairlead.kube.errors import Unreachable

__all__ = [
    "ALL",
    "GROUPS",
    "Holdings",
    "Holds",
    "assign",
    "everything",
    "group_of",
    "group_of_bucket",
    "group_of_key",
    "selector_of",
]

#: How many groups there are. Their Leases are named by number: it never changes.
GROUPS = 16

ALL = frozenset(range(GROUPS))

_SIZE = BUCKETS // GROUPS

#: Tells whether this replica may act for what has a UID: a run, or a template.
Holds = Callable[[str], bool]


def everything(_uid: str, /) -> bool:
    """Hold everything: there are no other replicas."""
    return True


def group_of(uid: str) -> int:
    """Return the group of a run without a `concurrencyKey`, or of a template."""
    return bucket(uid) // _SIZE


def group_of_key(namespace: str, key: str) -> int:
    """Return the group of all runs with a `concurrencyKey`."""
    return bucket_of_key(namespace, key) // _SIZE


def group_of_bucket(number: int) -> int:
    """Return the group that a bucket is in."""
    return number // _SIZE


def selector_of(groups: Collection[int]) -> str:
    """Return by which labels the objects of the runs in some groups are found."""
    if len(groups) == GROUPS:
        return labels.RUN_UID
    numbers = [str(group * _SIZE + offset) for group in sorted(groups) for offset in range(_SIZE)]
    # An empty set is no selector; no bucket is called `none`.
    return f"{labels.RUN_UID},{labels.BUCKET} in ({','.join(numbers or ['none'])})"


def assign(members: Collection[str]) -> dict[int, str]:
    """Return which member each group belongs to: the same for everybody who knows of the same members.

    Each pair of a group and a member has a weight of its own, and the heaviest pairs find each other first, until a
    member has its share: as many as any other, give or take one. So a member that comes or goes moves few other groups.
    """
    share, more = divmod(GROUPS, len(members))
    pairs = sorted(((_weight(group, member), group, member) for group in ALL for member in members), reverse=True)
    found: dict[int, str] = {}
    counts = dict.fromkeys(members, 0)
    for _, group, member in pairs:
        if group in found or counts[member] >= share + (more > 0):
            continue
        found[group] = member
        counts[member] += 1
        more -= counts[member] > share
    return found


def _weight(group: int, member: str) -> bytes:
    return sha256(f"{group}/{member}".encode()).digest()


class Holdings:
    """The groups that this replica holds, which counts until `deadline`, by the monotonic `clock`; at first none.

    `bucket_of(uid)` is what is known of the bucket of a run, or of a template. `term` grows each time that all is lost.
    """

    def __init__(self, clock: Callable[[], float], bucket_of: Callable[[str], int] = bucket) -> None:
        self._clock = clock
        self._bucket_of = bucket_of
        self.groups: frozenset[int] = frozenset()
        self.deadline = -inf
        self.term = 0

    @property
    def count(self) -> bool:
        """Whether what is held still counts."""
        return self._clock() < self.deadline

    def holds(self, uid: str) -> bool:
        """Tell whether this replica may act for a run now."""
        return self.count and self.has(uid)

    def fence(self) -> Callable[[], None]:
        """Return what keeps back a write that is asked for now, by raising `ApiError`.

        That is past the deadline, and once everything was lost, even if something is held again by then: others have
        acted meanwhile.
        """
        term = self.term

        def check() -> None:
            if not self.count or self.term != term:
                raise Unreachable("the lease is over: nothing is written", maybe_applied=False)

        return check

    def has(self, uid: str) -> bool:
        """Tell whether a run is in one of the groups, whether or not they count at this moment."""
        return self.groups is ALL or self.group_of(uid) in self.groups

    def holds_key(self, namespace: str, key: str) -> bool:
        """Tell whether this replica may decide now which of the runs with a `concurrencyKey` are active."""
        return self.count and group_of_key(namespace, key) in self.groups

    def group_of(self, uid: str) -> int:
        """Return the group of a run, or of a template."""
        return self._bucket_of(uid) // _SIZE

    def hold_everything(self) -> None:
        """Hold all groups for good: there are no other replicas."""
        self.groups, self.deadline = ALL, inf
