"""What came back over HTTP, and what it means: an object, a refusal, a request for patience, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from .connection import Broken, NoConnection
from .errors import ApiError, Unreachable, error_from_response

__all__ = ["is_overload", "no_answer", "object_in", "patience", "refusal"]


def object_in(answer: bytes) -> dict[str, Any]:
    """The JSON object of a 2xx answer.

    Raises:
        Unreachable: it is none: a proxy in between answered with a page of its own.
    """
    try:
        parsed = orjson.loads(answer)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise Unreachable(f"the answer is not a JSON object: {answer[:100]!r}", maybe_applied=True)
    return parsed


def refusal(status: int, headers: Mapping[str, str], answer: bytes, asked: str) -> ApiError:
    """The error that a complete answer with another status than 2xx stands for; headers are in lower case."""
    try:
        # The API server sends whole seconds; the header's date form is not used by it.
        wait = max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        wait = None
    return error_from_response(status, answer, retry_after=wait, request=asked)


def no_answer(error: Exception, method: str, asked: str) -> Unreachable:
    """The error of an exchange that failed on the way.

    Nothing was sent before a connection stood; after that, the fate of a write is unknown.
    """
    connecting = isinstance(error, NoConnection)
    what = str(error) or "no answer in time"
    message = what if isinstance(error, (NoConnection, Broken)) else f"{type(error).__name__}: {what}"
    return Unreachable(message, maybe_applied=method != "GET" and not connecting, request=asked)


def is_overload(error: ApiError) -> bool:
    """Tell whether the server says, or shows by not answering in time, that it has too much to do."""
    return error.status in (429, 503, 504) or isinstance(error.__cause__, TimeoutError)


def patience(error: ApiError) -> float | None:
    """Seconds to wait before sending the same request again; None if the server did not ask for that.

    The rule of client-go (rest/with_retry.go): 429, and any 5xx that carries Retry-After.
    """
    if error.status == 429:
        return 1.0 if error.retry_after is None else error.retry_after
    return error.retry_after if error.status >= 500 else None
