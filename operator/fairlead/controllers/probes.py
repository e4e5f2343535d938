"""`/healthz`, `/readyz` and `/metrics`, over a small HTTP server of our own.

Live means that our own loops go on; an API server that is away does not make us dead, restarting would not help it.
Ready means that we hear the API server and have read what there is; the answer names what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from fairlead.telemetry.metrics import Metrics

__all__ = ["Check", "ProbeServer"]

#: Returns "" when all is well, else what is wrong, in words for people.
Check = Callable[[], str]


class ProbeServer:
    """Serves the probes; `live` and `ready` are named checks. `metrics` are None where another server has them."""

    def __init__(self, metrics: Metrics | None, live: Mapping[str, Check], ready: Mapping[str, Check]) -> None:
        self._metrics = metrics
        self._live = live
        self._ready = ready
        self._runner: web.AppRunner | None = None

    async def start(self, listen: str, port: int) -> int:
        """Begin to serve; returns the port. Raises OSError where the port is taken."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        if self._metrics is not None:
            app.router.add_get("/metrics", self._scrape)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, listen, port)
        await site.start()
        assert site._server is not None  # noqa: SLF001  (aiohttp has no other way to learn the port that 0 stands for)
        sockets = site._server.sockets  # type: ignore[attr-defined]  # noqa: SLF001
        bound: int = sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return self._answer(self._live)

    async def _readyz(self, _: web.Request) -> web.Response:
        return self._answer({**self._live, **self._ready})

    def _answer(self, checks: Mapping[str, Check]) -> web.Response:
        results = {name: check() for name, check in checks.items()}
        return web.json_response(
            {name: problem or "ok" for name, problem in results.items()},
            status=503 if any(results.values()) else 200,
        )

    async def _scrape(self, _: web.Request) -> web.Response:
        assert self._metrics is not None
        body, content_type = self._metrics.render()
        return web.Response(body=body, headers={"Content-Type": content_type})
