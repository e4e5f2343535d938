"""What the operator tells about itself: whether it lives, whether it is ready, and what its metrics are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fairlead.kube.scope import Following

if TYPE_CHECKING:
    from .runtime import Operator

__all__ = ["live_checks", "ready_checks", "tell_metrics"]

#: A loop of ours that has not come round for so long hangs.
_HUNG_SECONDS = 150.0
#: A lease that was not even tried to be renewed for so long is lost.
_UNSEEN_SECONDS = 30.0
#: A watch that has not been heard for so long is deaf.
_DEAF_SECONDS = 120.0

Check = Callable[[], str]


def live_checks(operator: Operator) -> dict[str, Check]:
    """Return what has to go on for the process to be worth keeping: each tells what is wrong, or ""."""

    def loop_of(informer: Following[Any]) -> Check:
        return lambda: _too_long(informer.idle(), _HUNG_SECONDS, "the watch loop has not come round")

    def sweep() -> str:
        due = operator.sweep.due_at
        late = 0.0 if due is None else asyncio.get_running_loop().time() - due
        return _too_long(late, _HUNG_SECONDS, "the sweep has not come round")

    return {f"{plural}-loop": loop_of(each) for plural, each in operator.caches.items()} | {
        "sweep": sweep,
        "replicas": lambda: _replicas_hang(operator, _HUNG_SECONDS),
    }


def ready_checks(operator: Operator) -> dict[str, Check]:
    """Return what has to hold for the operator to do its work; likewise."""

    def heard(informer: Following[Any]) -> Check:
        return lambda: (
            informer.last_error or _too_long(informer.staleness(), _DEAF_SECONDS, "nothing heard from the API server")
        )

    return {f"{plural}-watch": heard(each) for plural, each in operator.caches.items()} | {
        "start": lambda: operator.waiting_for,
        "workflows": lambda: operator.sweep.problem,
        "replicas": lambda: _lease_problem(operator) or _replicas_hang(operator, _UNSEEN_SECONDS),
    }


def _lease_problem(operator: Operator) -> str:
    """Return why this replica acts for nobody; a renewal that fails now and then is no reason yet."""
    return "" if operator.replicas is None or operator.holdings.count else operator.replicas.problem


def _replicas_hang(operator: Operator, limit: float) -> str:
    if operator.replicas is None or operator.waiting_for:
        return ""
    return _too_long(operator.replicas.idle(), limit, "the lease has not been seen to")


def _too_long(seconds: float, limit: float, what: str) -> str:
    return f"{what} for {seconds:.0f} s" if seconds > limit else ""


def tell_metrics(operator: Operator) -> None:
    """Let whoever reads the metrics ask for what can be told at any moment."""
    ask, slots, caches = operator.metrics.ask, operator.client.slots, operator.caches
    ask("fairlead_cache_staleness_seconds", lambda: {(name,): each.staleness() for name, each in caches.items()})
    ask("fairlead_cache_objects", lambda: {(name,): len(each) for name, each in caches.items()})
    ask("fairlead_api_requests_limit", lambda: {(): slots.limit})
    ask("fairlead_api_requests_in_flight", lambda: {(): slots.busy})
    ask("fairlead_api_requests_waiting", lambda: {(): slots.waiting})
    checks = live_checks(operator) | ready_checks(operator)
    ask("fairlead_ready", lambda: {(name,): float(not check()) for name, check in checks.items()})
    ask("fairlead_namespace_served", lambda: _namespaces_served(operator))
    for name, queue in operator.queues().items():
        operator.metrics.watch_queue(name, queue)
    operator.census.tell(operator.metrics)


def _namespaces_served(operator: Operator) -> dict[tuple[str, ...], float]:
    watched = operator.namespaces
    return {(name,): float(watched is not None and not watched.missing_in(name)) for name in operator.scope.namespaces}
