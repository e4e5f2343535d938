"""What can go wrong with a request, as types.

The API server explains itself in a `Status` object; this module turns one into the narrowest class, so that
callers write `except AlreadyExists` and never compare numbers. A 403 has several unrelated meanings (rights,
quota, a dying namespace, an admission plug-in's opinion): the `is_*` properties tell them apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

__all__ = [
    "AlreadyExists",
    "ApiError",
    "Conflict",
    "Forbidden",
    "Gone",
    "Invalid",
    "NotFound",
    "ServerError",
    "Silent",
    "TooLarge",
    "TooManyRequests",
    "Unauthorized",
    "Unreachable",
    "error_from_response",
    "error_from_status",
]

# The authorizer's sentence (apiserver/pkg/endpoints/handlers/responsewriters/errors.go); admission plug-ins
# and quota phrase theirs differently.
_RBAC = re.compile(r'\bcannot [a-z*]+ (?:resource|path|verb) ?"')
# Two spellings, from registry/rest and from the etcd store.
_WRONG_UID = re.compile(r"\bUID in (?:the )?precondition\b")
_MESSAGE_LIMIT = 2000


class ApiError(Exception):
    """The API server said no, or said nothing.

    Attributes:
        status: HTTP status code; 0 when no answer arrived.
        reason: the machine-readable CamelCase reason, such as `AlreadyExists`; may be empty.
        message: the server's own sentence, for people.
        details: `details` of the Status object: kind, name, uid, causes, retryAfterSeconds.
        retry_after: seconds to wait before trying again, when the server asked for it.
        request: `verb resource namespace/name` of the failed call, for logs; may be empty.
    """

    def __init__(
        self,
        status: int,
        reason: str = "",
        message: str = "",
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
        *,
        request: str = "",
    ) -> None:
        super().__init__(status, reason, message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details: Mapping[str, Any] = details or {}
        self.retry_after = retry_after
        self.request = request

    def __str__(self) -> str:
        head = f"{self.request}: " if self.request else ""
        return f"{head}{self.message or 'no message'} ({self.status or 'no answer'} {self.reason})".rstrip()

    @property
    def maybe_applied(self) -> bool:
        """Whether a write may have taken effect in spite of this error.

        A 5xx can come after the write reached storage (a storage timeout, a broken load balancer).
        """
        return self.status >= 500

    @property
    def is_transient(self) -> bool:
        """Whether the same request may well succeed later without anybody changing anything."""
        return self.status in (0, 401, 408, 410, 429) or self.status >= 500

    @property
    def causes(self) -> Sequence[Mapping[str, Any]]:
        """The `details.causes` list: `reason`, `message` and `field` of each."""
        causes = self.details.get("causes")
        return [c for c in causes if isinstance(c, Mapping)] if isinstance(causes, list) else []

    @property
    def is_wrong_uid(self) -> bool:
        """The name belongs to an object with another UID than the request said: ours is gone.

        A delete's precondition answers 409; a patch that carries `metadata.uid` answers 422, because that field
        is immutable.
        """
        if self.status == 409:
            return _WRONG_UID.search(self.message) is not None
        return self.status == 422 and any(cause.get("field") == "metadata.uid" for cause in self.causes)

    @property
    def is_namespace_terminating(self) -> bool:
        """A create in a namespace that is going away: the run goes with it, this is no failure."""
        return self.status == 403 and any(c.get("reason") == "NamespaceTerminating" for c in self.causes)

    @property
    def is_quota(self) -> bool:
        """A ResourceQuota is used up: wait for room. Not `failed quota: must specify …`, which never passes."""
        return self.status == 403 and "exceeded quota" in self.message

    @property
    def is_rbac(self) -> bool:
        """The authorizer refused: rights are missing, as opposed to an admission plug-in's veto."""
        return self.status == 403 and _RBAC.search(self.message) is not None

    @property
    def is_impersonation(self) -> bool:
        """We may not act in that name at all: the operator's own right is missing, not the service account's."""
        return self.is_rbac and "cannot impersonate " in self.message

    @property
    def is_unserved(self) -> bool:
        """The kind itself is not there (a CustomResourceDefinition that is missing, or gone); not merely the object."""
        return self.status == 404 and not self.details.get("name")

    @property
    def is_admission(self) -> bool:
        """Somebody's admission plug-in, webhook or policy refused this very object."""
        return self.status == 403 and not (self.is_rbac or self.is_quota or self.is_namespace_terminating)


class Unauthorized(ApiError):
    """401, also after the credentials were loaded again."""


class Forbidden(ApiError):
    """403: see `is_rbac`, `is_quota`, `is_namespace_terminating`, `is_admission`."""


class NotFound(ApiError):
    """404: no such object, or no such kind (a CustomResourceDefinition that is not served)."""


class Conflict(ApiError):
    """A precondition on uid or resourceVersion does not hold, or an apply conflict: 409.

    Also 422 where the server means the same: see `is_wrong_uid`.
    """


class AlreadyExists(ApiError):
    """409 on create: the name is taken. By us, if the owner's UID is ours: then it is success."""


class Gone(ApiError):
    """410: that version, or that continue token, is no longer in the server's history."""


class TooLarge(ApiError):
    """413: the body is over the server's limit."""


class Invalid(ApiError):
    """422: validation failed, or the `test` of a JSON patch did."""


class TooManyRequests(ApiError):
    """429 still, after the bounded number of retries."""


class ServerError(ApiError):
    """5xx. The write may have been applied."""


class Unreachable(ApiError):
    """No answer: name resolution, connection, TLS, reset or timeout.

    Attributes:
        maybe_applied: False when the request certainly never left (no connection, or it only read);
            True when it was sent and its fate is unknown.
    """

    def __init__(self, message: str, *, maybe_applied: bool, request: str = "") -> None:
        super().__init__(0, "Unreachable", message, request=request)
        self._maybe_applied = maybe_applied

    @property
    def maybe_applied(self) -> bool:
        """See the class."""
        return self._maybe_applied


class Silent(Unreachable):
    """A connection that stands and says nothing for longer than allowed."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: TooLarge,
    422: Invalid,
    429: TooManyRequests,
}


def error_from_status(
    status: Mapping[str, Any], *, code: int = 0, retry_after: float | None = None, request: str = ""
) -> ApiError:
    """Turn a Kubernetes `Status` object (a response body or a watch's ERROR event) into the narrowest error.

    Args:
        status: the object; missing or mistyped fields are tolerated, proxies send anything.
        code: the HTTP status, which wins over the object's own `code`.
        retry_after: seconds from the Retry-After header; otherwise `details.retryAfterSeconds` counts.
        request: what was asked, for the message.
    """
    own = status.get("code")
    number = code or (own if isinstance(own, int) else 0)
    reason = str(status.get("reason") or "")
    details = status.get("details")
    details = details if isinstance(details, Mapping) else {}
    if retry_after is None and isinstance(asked := details.get("retryAfterSeconds"), int) and asked > 0:
        retry_after = float(asked)
    kind = _BY_STATUS.get(number, ServerError if number >= 500 else ApiError)
    if kind is Conflict and reason == "AlreadyExists":
        kind = AlreadyExists
    message = str(status.get("message") or "")[:_MESSAGE_LIMIT]
    error = kind(number, reason, message, details, retry_after, request=request)
    # A failed precondition is a Conflict, whichever way the server puts it.
    return Conflict(number, reason, message, details, retry_after, request=request) if error.is_wrong_uid else error


def error_from_response(code: int, body: bytes, *, retry_after: float | None = None, request: str = "") -> ApiError:
    """Turn an HTTP error response into the narrowest error; the body may be anything a proxy made up."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict) or parsed.get("kind") != "Status":
        parsed = {"message": body[:_MESSAGE_LIMIT].decode("utf-8", "replace").strip()}
    return error_from_status(parsed, code=code, retry_after=retry_after, request=request)
