"""What it means for a run that the API server refused to create an attempt's object. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from fairlead.engine.commands import StartAttempt
from fairlead.engine.events import StartRefused
from fairlead.kube.errors import ApiError

__all__ = ["OPERATOR_FORBIDDEN", "blocks_operator", "refusal"]

#: The reason of a task whose object the operator itself has no right to create.
OPERATOR_FORBIDDEN = "OperatorForbidden"

#: How soon to try again, in seconds. None of these is a failure of the task.
_QUOTA_SECONDS = 5
_RIGHTS_SECONDS = 10
_NAMESPACE_SECONDS = 30
_OUTAGE_SECONDS = 1


def refusal(start: StartAttempt, error: ApiError, now: datetime) -> StartRefused:
    """Return the fact that follows from an error of a create.

    Missing rights, a used-up quota and an outage are waited for. Everything else is an opinion about this very object
    (schema, PodSecurity, LimitRange, a webhook) and will not change by itself: the task fails with the server's words.
    """
    reason, seconds = _waited_for(error)
    return StartRefused(
        node=start.node,
        number=start.number,
        reason=reason,
        message=error.message or str(error),
        retry_at=None if seconds is None else now + timedelta(seconds=seconds),
    )


def blocks_operator(error: ApiError) -> bool:
    """Tell whether the operator itself lacks rights: the run is then `Stalled` until somebody grants them."""
    return error.is_rbac or error.status == 401


def _waited_for(error: ApiError) -> tuple[str, int | None]:
    if error.is_namespace_terminating:
        return "NamespaceTerminating", _NAMESPACE_SECONDS
    if error.is_quota:
        return "QuotaExceeded", _QUOTA_SECONDS
    if error.status == 403 and "error looking up service account" in error.message:
        # In a namespace that has just been made, the default one comes a moment later.
        return "WaitingForServiceAccount", _QUOTA_SECONDS
    if blocks_operator(error):
        return OPERATOR_FORBIDDEN, _RIGHTS_SECONDS
    if error.is_transient or error.status in (404, 409):
        # 404: the namespace is not there (any more); 409: somebody else's write got in between.
        return "ApiUnavailable", _OUTAGE_SECONDS
    return "ObjectRefused", None
