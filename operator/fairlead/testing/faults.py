"""The fault model by name: what may go wrong on the way, in the API server, in the operator, with pods, by people.

Names only: `storm.py` is what happens to requests and watches, `mishaps.py` what happens to everything else.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Fault"]


class Fault(StrEnum):
    """One way in which things go wrong."""

    # Requests, as long as a storm lasts.
    LATE = "answers come late"
    LOST = "request lost on the way"
    UNANSWERED = "applied, and no answer"
    BROKEN = "applied, and the connection breaks"
    NO_CONNECTION = "no connection"
    THROTTLED = "429 with Retry-After"
    UNAVAILABLE = "503"
    INTERNAL = "500"
    GATEWAY_TIMEOUT = "504, and applied all the same"
    CONFLICT = "409 for a patch"
    QUOTA = "403: over quota"
    FORBIDDEN = "403: rights revoked"
    UNREADABLE = "403: no right to list and watch"

    # Watches and lists, likewise.
    WATCH_LATE = "events come late"
    WATCH_SILENT = "watch falls silent"
    WATCH_CLOSED = "watch closed by the server"
    WATCH_CUT = "watch cut in the middle of a line"
    WATCH_REPEATED = "events told twice"
    COMPACTED = "history compacted: 410"
    LAGGING_LIST = "list from a lagging server"
    API_RESTART = "API server restarts"

    # The operator's process.
    CRASH = "operator killed"
    CRASH_BEFORE_WRITE = "killed before a write leaves"
    CRASH_AFTER_WRITE = "killed after a write, before its answer"
    SIGTERM = "operator told to end"
    PAUSED = "operator held up for minutes"
    TWO_OPERATORS = "two operators"
    CLOCK_SKEW = "clock of the operator is wrong"

    # Pods, nodes, objects.
    UNSCHEDULABLE = "no node takes pods"
    EVICTED = "pod evicted"
    PREEMPTED = "pod preempted"
    DELETED = "pod deleted by somebody"
    FORCE_DELETED = "pod deleted by force"
    NODE_DOWN = "node down, and back"
    NODE_LOST = "node lost"
    LABEL_STRIPPED = "label taken off a pod"
    FINALIZER_STRIPPED = "finalizer taken off a pod"
    FOREIGN_POD = "foreign pod with our labels"

    # People.
    SUSPEND_RACE = "suspended and resumed"
    ACTION_SPAM = "requests that cannot be granted"
    EDITED = "metadata of the Workflow edited"
