"""A world at rest costs next to nothing: how often an operator looks at runs, and asks the API server, while it is so.

Nothing is written then (S10); this is about what nobody would see: a run that is over and looked at each second, or a
watch that is opened again and again. That an operator is alive it has to say again and again: Leases are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

from fairlead.kube.resources import LEASES
from fairlead.testing.apiserver import Request
from fairlead.testing.cluster import Cluster
from fairlead.testing.host import Host

__all__ = ["Calm"]

#: How many looks at one run, and requests of one operator to each kind, there may be in a minute.
_LOOKS, _REQUESTS = 1.0, 2.0


class Calm:
    """Counts what operators do for a while."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._looks: Counter[str] = Counter()
        self._requests: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count from now on."""
        network, before = self._cluster.network, self._cluster.network.sent

        def sent(sender: str, request: Request) -> None:
            if f"/{LEASES.plural}" not in request.path:
                self._requests[sender, _what(request)] += 1
            before(sender, request)

        with ExitStack() as stack:
            for host in self._cluster.hosts:
                if host.alive:
                    self._count_looks(stack, host)
            network.sent = sent
            try:
                yield
            finally:
                network.sent = before

    def _count_looks(self, stack: ExitStack, host: Host) -> None:
        assert host.operator is not None
        controller = host.operator.controller
        look = controller.reconcile

        async def reconcile(uid: str) -> float | None:
            self._looks[uid] += 1
            return await look(uid)

        stack.enter_context(mock.patch.object(controller, "reconcile", reconcile))

    def problems(self, seconds: float) -> Iterator[str]:
        """Yield what was done too often in so many seconds."""
        minutes = seconds / 60 + 1
        for uid, count in self._looks.items():
            if count > _LOOKS * minutes:
                yield f"S10: at rest, the run {uid} was looked at {count} times in {seconds:.0f} s"
        for (sender, what), count in self._requests.items():
            if count > _REQUESTS * minutes:
                yield f"S10: at rest, {sender} asked for {what} {count} times in {seconds:.0f} s"


def _what(request: Request) -> str:
    watch = " (watch)" if request.query.get("watch") == "true" else ""
    return f"{request.method} {request.path}{watch}"
