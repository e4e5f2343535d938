"""Validating admission: the API server asks whether a definition makes sense, before it keeps it.

It is a convenience, for whoever types `kubectl apply`, and no guard: the controllers check everything themselves, with
the same functions. So nothing here may ever stand in anybody's way. Whatever goes wrong on our side, the object is let
in, with a warning; and where we do not answer at all, the configuration says `failurePolicy: Ignore`.

A small server of ours on every replica, whichever of them acts: it needs nothing but the request, and the template
that a Workflow names.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp import web

from fairlead.engine.expressions import Evaluator
from fairlead.kube.errors import ApiError, NotFound
from fairlead.kube.resources import CONTROLLERREVISIONS, WORKFLOWTEMPLATES
from fairlead.kube.transport import ApiClient
from fairlead.telemetry.metrics import Metrics

from .certificate import ServingCertificate
from .review import KINDS, Found, Review, answer, examine, read_review

__all__ = ["WebhookServer"]

log = logging.getLogger(__name__)

#: The API server waits for five seconds; an answer that comes later is none.
_ANSWER_SECONDS = 4.0
_TEMPLATE_SECONDS = 1.5
#: A review of an update carries the object twice, each up to the 1.5 MiB that etcd takes, and more when it is escaped.
_MAX_BYTES = 8 * 1024 * 1024
#: Requests that are read and judged at once; others wait in their sockets.
_REQUESTS = 8
#: A large definition must not hold up a small one. More would not help: there is one interpreter.
_THREADS = 2

_LATER = "the operator checks it before the run begins, and writes what it finds to its status"


class WebhookServer:
    """Answers `POST /validate`; over HTTPS where there is a certificate."""

    def __init__(
        self,
        client: ApiClient,
        evaluator: Evaluator,
        metrics: Metrics,
        certificate: ServingCertificate | None = None,
        *,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        self._client = client
        self._evaluator = evaluator
        self._metrics = metrics
        self._certificate = certificate
        self._answer_seconds = answer_seconds
        self._slots = asyncio.Semaphore(_REQUESTS)
        self._threads = ThreadPoolExecutor(_THREADS, "admission")
        self._runner: web.AppRunner | None = None

    async def start(self, listen: str, port: int) -> int:
        """Begin to serve; returns the port. Raises OSError where the port is taken."""
        app = web.Application(client_max_size=_MAX_BYTES)
        app.router.add_post("/validate", self._validate)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        context = None if self._certificate is None else self._certificate.context
        await web.TCPSite(self._runner, listen, port, ssl_context=context).start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def close(self) -> None:
        """Stop serving. What is being judged gets no answer."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _validate(self, request: web.Request) -> web.Response:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        kind, result = "unknown", "error"
        try:
            async with asyncio.timeout_at(begun + self._answer_seconds), self._slots:
                review = read_review(await request.read())
                kind = review.kind if review.kind in KINDS else "other"
                result, found = await self._judge(review, begun + self._answer_seconds)
            return web.json_response(answer(review, found))
        except TimeoutError:
            result = "timeout"
            return web.Response(status=503, text="busy: this was not read in time")
        except ValueError as error:
            result = "unreadable"
            return web.Response(status=400, text=str(error))
        except web.HTTPException:  # of aiohttp: more than _MAX_BYTES
            result = "unreadable"
            raise
        except (asyncio.CancelledError, OSError):  # the API server has gone away
            result = "timeout"
            raise
        finally:
            self._metrics.admission_answered(kind, result, loop.time() - begun)

    async def _judge(self, review: Review, until: float) -> tuple[str, Found]:
        """Return what became of it, for the metrics, and what was found."""
        if not review.is_judged:
            return "allowed", Found()
        try:
            async with asyncio.timeout_at(until - 0.1):
                definition, unread = await self._definition(review)
                found = await asyncio.get_running_loop().run_in_executor(
                    self._threads, examine, review, definition, self._evaluator, unread
                )
        except TimeoutError:
            return "timeout", Found(warnings=[f"checking this {review.kind} would take too long here: {_LATER}"])
        except Exception:
            log.exception("cannot judge %s %s/%s: it is let in", review.kind, review.namespace, review.name)
            return "error", Found(warnings=[f"this {review.kind} was not checked, by a fault of Fairlead's: {_LATER}"])
        return ("refused" if found.errors else "allowed"), found

    async def _definition(self, review: Review) -> tuple[Mapping[str, Any] | None, str]:
        """Return the spec of the template that a Workflow names, else why it cannot be read.

        Of a run it is what the run keeps. Whether that is unchanged is for the run to say, which goes by it.
        """
        if review.template is None:
            return None, ""
        try:
            async with asyncio.timeout(_TEMPLATE_SECONDS):
                if review.has_started:
                    if review.revision is None or not review.has_new_overrides:
                        return None, ""
                    kept = await self._client.get(CONTROLLERREVISIONS, review.revision, review.namespace)
                    return kept.get("data"), ""
                raw = await self._client.get(WORKFLOWTEMPLATES, review.template, review.namespace)
        except NotFound:
            return None, ""
        except ApiError as error:
            return None, str(error)
        except TimeoutError:
            return None, "the API server does not answer in time"
        return raw.get("spec") or {}, ""
