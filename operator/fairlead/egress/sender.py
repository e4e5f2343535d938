"""Carries out one attempt of an `http` task: sends the request, follows redirects, and says how it ended.

Never raises but for cancellation: whatever happens to a request is an outcome. What may have been done and what was not
is kept apart, because only the latter may be tried again without asking: a `POST` whose answer never came ends as
`OutcomeUnknown`, and so does one that was under way when its operator was restarted.
"""

from __future__ import annotations

import asyncio
import logging

import aiohttp

from fairlead import __version__
from fairlead.api.work import Bound, RenderedHttp
from fairlead.clock import utc_now
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import FailureClass, Json
from fairlead.engine.state import Outcome, Result

from .answer import Answer, read
from .connections import Connections, Refused
from .request import IDEMPOTENT, BadRequest, Request, SecretReader, SecretUnavailable, build, follow

__all__ = ["Sender"]

log = logging.getLogger(__name__)

_REDIRECTS = 5
_REDIRECTING = frozenset({301, 302, 303, 307, 308})


class _Failed(Exception):
    """An attempt that ends like this."""

    def __init__(self, reason: str, message: str, failure_class: FailureClass = FailureClass.USER) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.failure_class = failure_class


class Sender:
    """Sends any number of requests at once: whoever calls it bounds them. Close it in the end."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def send(self, work: RenderedHttp, *, key: str, resumed: bool, read_secret: SecretReader) -> Outcome:
        """Carry one attempt out. `key` identifies it; `resumed` tells that it may have been sent before."""
        safe = work["idempotent"] or work["method"].upper() in IDEMPOTENT
        try:
            if resumed and not safe:
                raise _unknown(work["method"], "the operator was interrupted while it was under way")
            values = await self._carry(work, key, safe, read_secret)
        except _Failed as failed:
            return Outcome(
                result=Result.FAILED,
                finished_at=utc_now(),
                failure_class=failed.failure_class,
                reason=failed.reason,
                message=failed.message,
            )
        except Exception:
            # A bug of ours: the attempt ends all the same. The trace holds no values, only lines of code.
            log.exception("a request failed unexpectedly")
            return Outcome(
                result=Result.FAILED,
                finished_at=utc_now(),
                failure_class=FailureClass.USER,
                reason="InternalError",
                message="a defect of the operator: see its log",
            )
        return Outcome(result=Result.SUCCEEDED, finished_at=utc_now(), values=values)

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    async def _carry(self, work: RenderedHttp, key: str, safe: bool, read_secret: SecretReader) -> dict[str, Json]:
        try:
            request = await build(work, key=key, user_agent=f"fairlead/{__version__}", read_secret=read_secret)
        except BadRequest as error:
            raise _refused(str(error)) from None
        except SecretUnavailable as error:
            raise _Failed(error.reason, error.message, FailureClass.CONFIGURATION) from None
        try:
            return await self._answer(work, request, safe)
        except _Failed as failed:
            failed.message = request.without_secrets(failed.message)
            raise

    async def _answer(self, work: RenderedHttp, request: Request, safe: bool) -> dict[str, Json]:
        try:
            async with asyncio.timeout(work["timeoutSeconds"]):
                answer = await self._exchange(request, work["allowPrivate"], safe)
        except TimeoutError:
            waited = f"{request.shown}: no complete answer within {work['timeoutSeconds']} s"
            doubt = "" if safe else "; it may have been carried out"
            raise _Failed("TimedOut", waited + doubt, FailureClass.TIMEOUT) from None
        return await _judge(work, request, answer)

    async def _exchange(self, request: Request, allow_private: bool, safe: bool) -> Answer:
        session = self._connections.session(allow_private=allow_private)
        first = request
        for _ in range(_REDIRECTS + 1):
            self._check_literal(request, allow_private)
            try:
                async with session.request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    data=request.body,
                    allow_redirects=False,
                    timeout=_NO_TIMEOUT,
                ) as response:
                    location = response.headers.get("Location")
                    if response.status not in _REDIRECTING or location is None:
                        return await read(request, response)
                    status = response.status
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise _broken(request, error, safe) from None
            try:
                request = follow(request, status, location)
            except BadRequest as error:
                raise _refused(f"{first.shown}: {error}") from None
        raise _Failed("HttpStatus", f"{first.shown}: more than {_REDIRECTS} redirects")

    def _check_literal(self, request: Request, allow_private: bool) -> None:
        """Refuse an address that the url itself names: those that a name stands for are checked when it is resolved."""
        host = request.url.raw_host or ""
        if ":" in host or host.replace(".", "").isdigit():
            problem = self._connections.addresses.problem(host, allow_private=allow_private)
            if problem:
                raise _refused(f"{request.shown}: {problem}")


async def _judge(work: RenderedHttp, request: Request, answer: Answer) -> dict[str, Json]:
    """Return the outputs of an attempt that has an answer."""
    condition, usual = work["successWhen"], 200 <= answer.status < 300
    if answer.excess and (condition is not None or (usual and work["outputs"])):
        raise _Failed("ResponseTooLarge", f"{request.shown}: {answer.excess}")
    if condition is not None:
        succeeded = await _evaluate("successWhen", condition, answer)
        if not isinstance(succeeded, bool):
            raise _Failed("ExpressionError", "successWhen: must be true or false")
        if not succeeded:
            raise _Failed("HttpStatus", f"{request.shown}: successWhen is false: {answer.shown}")
    elif not usual:
        raise _Failed("HttpStatus", f"{request.shown}: {answer.shown}")
    return {name: await _evaluate(f"output {name!r}", bound, answer) for name, bound in work["outputs"]}


async def _evaluate(what: str, bound: Bound, answer: Answer) -> Json:
    await asyncio.sleep(0)  # each evaluation converts the whole answer: others may go on in between
    try:
        return bound.evaluate(response=answer.scope)
    except ExpressionError as error:
        raise _Failed("ExpressionError", f"{what}: {error.message}") from None


def _broken(request: Request, error: Exception, safe: bool) -> _Failed:
    """Return what follows from an exchange that failed on the way."""
    head = f"{request.shown}: "
    if isinstance(error, aiohttp.ClientConnectorError):  # nothing was sent
        cause = error.__cause__ or error
        if isinstance(cause, Refused):
            return _refused(head + str(cause))
        return _Failed("HttpUnavailable", head + _words(request, cause))
    if isinstance(error, ValueError):
        return _refused(head + "it cannot be sent: " + _words(request, error))
    if safe:
        return _Failed("HttpUnavailable", head + _words(request, error))
    return _unknown(request.method, head + _words(request, error))


def _words(request: Request, error: BaseException) -> str:
    """Put an error into words, without the url that some of aiohttp's repeat."""
    match error:
        case aiohttp.ClientResponseError():
            words = f"the answer is no HTTP: {error.message}"
        case aiohttp.InvalidURL():
            words = error.description or "the url is invalid"
        case _:
            words = str(error)
    return request.without_secrets(words)[:300] or type(error).__name__


def _unknown(method: str, why: str) -> _Failed:
    return _Failed(
        "OutcomeUnknown",
        f"{why}; whether it was carried out is not known, and {method} is not sent again unless "
        "the task sets idempotent: true",
    )


def _refused(message: str) -> _Failed:
    return _Failed("HttpRefused", message, FailureClass.CONFIGURATION)


# The whole exchange has one limit, set around it.
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
