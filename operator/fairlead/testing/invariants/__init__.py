"""The invariants of the operator, checked at every stored change and every request of a cluster in memory.

Which is checked where, and when:

- S1 `identity`: at each create.
- S2 `durability`, S5 `budgets`, S7 `holding`: at each create as it leaves; it counts if it takes effect.
- S3, S4 `ends`: at each write of a status or shard, at each release and deletion.
- S6 `departures`: at each create that takes effect, by what its sender could know when it left.
- S8 `ownership`: at each write, and at each DELETE that is sent.
- S9 `statuses`, S15, S17 `content`: at each write.
- S10, L2 `rest`: from `at_rest` on, then, and at the end.

S12 and S13 are these under two operators and stale watches.

No check asks an operator, and none trusts its status where the world can tell by itself. All lean to one side: what
somebody else has done (finalizers, labels or owners taken off, objects removed by force) is told from who wrote each
change, and excuses the operator for what it cannot know. Where that leaves a gap, the module says so.
"""

from __future__ import annotations

from .watchman import Violation, Watchman

__all__ = ["Violation", "Watchman"]
