"""`/metrics` on a port of its own: over TLS where there is a certificate, and to those only who may see it.

Without it they are served beside the probes (`probes.py`), to whoever reaches that port.
"""

from __future__ import annotations

import ssl

from aiohttp import hdrs, web

from fairlead.telemetry.metrics import Metrics

from .callers import Callers, Verdict

__all__ = ["MetricsServer"]

_SAID = {
    Verdict.UNKNOWN: "a bearer token of this cluster is needed",
    Verdict.FORBIDDEN: "the right to get the path /metrics is needed",
    Verdict.UNDECIDED: "the API server does not say who you are",
}


class MetricsServer:
    """Serves the metrics; `callers` says who may see them, None for anybody."""

    def __init__(self, metrics: Metrics, context: ssl.SSLContext | None, callers: Callers | None) -> None:
        self._metrics = metrics
        self._context = context
        self._callers = callers
        self._runner: web.AppRunner | None = None

    async def start(self, listen: str, port: int) -> int:
        """Begin to serve; returns the port. Raises OSError where the port is taken."""
        app = web.Application(client_max_size=1024)
        app.router.add_get("/metrics", self._scrape)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, listen, port, ssl_context=self._context).start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def close(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _scrape(self, request: web.Request) -> web.Response:
        if self._callers is not None:
            verdict = await self._callers.may_get(request.headers.get(hdrs.AUTHORIZATION, ""), "/metrics")
            if verdict is not Verdict.ALLOWED:
                headers = {"WWW-Authenticate": "Bearer"} if verdict is Verdict.UNKNOWN else {}
                return web.Response(status=verdict.value, text=_SAID[verdict], headers=headers)
        body, content_type = self._metrics.render()
        return web.Response(body=body, headers={"Content-Type": content_type})
