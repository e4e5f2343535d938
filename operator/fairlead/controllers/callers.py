"""Who calls one of our own servers, and whether they may: the API server says both, as it does for its own.

A bearer token is looked up by a TokenReview, and its user's right to `get` a path by a SubjectAccessReview; so whoever
has a service account and a role can be let in. Both are kept for a short while. Without an answer nobody is let in.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Any

from fairlead.kube.errors import ApiError
from fairlead.kube.resources import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from fairlead.kube.transport import ApiClient

__all__ = ["Callers", "Verdict"]

log = logging.getLogger(__name__)

#: How long an answer holds: so long a right that was taken away lasts, and one that was given is waited for.
_ALLOWED_SECONDS = 60.0
_REFUSED_SECONDS = 5.0
_REMEMBERED = 1_000
_AT_ONCE = 4
_ANSWER_SECONDS = 5.0
#: Those of service accounts have about 1,000.
_TOKEN_CHARACTERS = 16_384


class Verdict(Enum):
    """Whether a caller is let in, as an HTTP status."""

    ALLOWED = 200
    UNKNOWN = 401
    FORBIDDEN = 403
    UNDECIDED = 503


@dataclass(frozen=True, slots=True)
class _Known:
    verdict: Verdict
    until: float


class Callers:
    """Asks the API server about callers."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._known: OrderedDict[tuple[bytes, str], _Known] = OrderedDict()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def may_get(self, authorization: str, path: str) -> Verdict:
        """Tell whether whoever sends this `Authorization` header may `get` a path."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > _TOKEN_CHARACTERS:
            return Verdict.UNKNOWN
        now = asyncio.get_running_loop().time()
        key = (sha256(token.encode()).digest(), path)
        known = self._known.get(key)
        if known is not None and known.until > now:
            return known.verdict
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), self._slots:
                verdict = await self._ask(token, path)
        except (ApiError, TimeoutError) as error:
            log.warning("cannot find out who asks for %s: %s", path, error or "no answer in time")
            return Verdict.UNDECIDED
        held = _ALLOWED_SECONDS if verdict is Verdict.ALLOWED else _REFUSED_SECONDS
        self._known[key] = _Known(verdict, now + held)
        self._known.move_to_end(key)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return verdict

    async def _ask(self, token: str, path: str) -> Verdict:
        found = await self._review(TOKEN_REVIEWS, {"token": token})
        if not found.get("authenticated"):
            return Verdict.UNKNOWN
        user = found.get("user") or {}
        asked = {
            "user": user.get("username", ""),
            "uid": user.get("uid", ""),
            "groups": user.get("groups") or [],
            "extra": user.get("extra") or {},
            "nonResourceAttributes": {"path": path, "verb": "get"},
        }
        judged = await self._review(SUBJECT_ACCESS_REVIEWS, asked)
        return Verdict.ALLOWED if judged.get("allowed") else Verdict.FORBIDDEN

    async def _review(self, resource: Any, spec: dict[str, Any]) -> dict[str, Any]:
        review = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
        status: dict[str, Any] = (await self._client.create(resource, review)).get("status") or {}
        return status
