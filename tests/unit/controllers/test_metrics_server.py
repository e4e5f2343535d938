"""Metrics on a port of their own: over TLS, to whom the API server lets in."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from tests.unit.controllers.fake_api import looptime
from tests.unit.controllers.pki import Authority

from fairlead.controllers.callers import Callers, Verdict
from fairlead.controllers.certificate import CertificateFiles
from fairlead.controllers.metrics_server import MetricsServer
from fairlead.controllers.probes import ProbeServer
from fairlead.kube.errors import Unreachable
from fairlead.kube.resources import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS, Resource
from fairlead.kube.transport import ApiClient
from fairlead.telemetry.metrics import Metrics


class Reviewer:
    """An API server that knows the tokens `good` and `poor`, and lets the user of the first one in."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.away = False
        self.allows = {"prometheus"}

    async def create(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((resource.kind, body["spec"]))
        if self.away:
            raise Unreachable("away", maybe_applied=False)
        if resource is TOKEN_REVIEWS:
            user = {"good": "prometheus", "poor": "ann"}.get(body["spec"]["token"])
            if user is None:
                return {"status": {"authenticated": False, "error": "no such token"}}
            return {"status": {"authenticated": True, "user": {"username": user, "groups": ["g"], "uid": "u"}}}
        assert resource is SUBJECT_ACCESS_REVIEWS
        return {"status": {"allowed": body["spec"]["user"] in self.allows}}


@pytest.fixture
def reviewer() -> Reviewer:
    return Reviewer()


def callers_of(reviewer: Reviewer) -> Callers:
    return Callers(cast("ApiClient", reviewer))


@looptime
class TestCallers:
    async def test_who_may_is_let_in(self, reviewer: Reviewer) -> None:
        assert await callers_of(reviewer).may_get("Bearer good", "/metrics") is Verdict.ALLOWED
        assert reviewer.asked == [
            ("TokenReview", {"token": "good"}),
            (
                "SubjectAccessReview",
                {
                    "user": "prometheus",
                    "uid": "u",
                    "groups": ["g"],
                    "extra": {},
                    "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
                },
            ),
        ]

    @pytest.mark.parametrize("header", ["", "good", "Basic good", "Bearer ", "Bearer bad", "Bearer " + "x" * 20_000])
    async def test_who_is_not_known_is_not(self, reviewer: Reviewer, header: str) -> None:
        assert await callers_of(reviewer).may_get(header, "/metrics") is Verdict.UNKNOWN

    async def test_who_may_not_is_not(self, reviewer: Reviewer) -> None:
        assert await callers_of(reviewer).may_get("bearer poor", "/metrics") is Verdict.FORBIDDEN

    async def test_nobody_is_while_the_api_server_is_away(self, reviewer: Reviewer) -> None:
        reviewer.away = True
        callers = callers_of(reviewer)
        assert await callers.may_get("Bearer good", "/metrics") is Verdict.UNDECIDED
        reviewer.away = False
        assert await callers.may_get("Bearer good", "/metrics") is Verdict.ALLOWED

    async def test_it_is_asked_once_a_minute(self, reviewer: Reviewer) -> None:
        callers = callers_of(reviewer)
        for _ in range(5):
            assert await callers.may_get("Bearer good", "/metrics") is Verdict.ALLOWED
        assert len(reviewer.asked) == 2
        reviewer.allows.clear()
        await asyncio.sleep(61)
        assert await callers.may_get("Bearer good", "/metrics") is Verdict.FORBIDDEN

    async def test_a_right_that_is_given_is_found_soon(self, reviewer: Reviewer) -> None:
        callers = callers_of(reviewer)
        await callers.may_get("Bearer poor", "/metrics")
        reviewer.allows.add("ann")
        await asyncio.sleep(6)
        assert await callers.may_get("Bearer poor", "/metrics") is Verdict.ALLOWED

    async def test_a_right_to_one_path_is_none_to_another(self, reviewer: Reviewer) -> None:
        callers = callers_of(reviewer)
        await callers.may_get("Bearer good", "/metrics")
        await callers.may_get("Bearer good", "/other")
        assert len(reviewer.asked) == 4

    async def test_no_token_is_kept_and_what_is_kept_is_bounded(
        self, reviewer: Reviewer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fairlead.controllers.callers._REMEMBERED", 2)
        callers = callers_of(reviewer)
        for n in range(5):
            await callers.may_get(f"Bearer secret-{n}", "/metrics")
        assert len(callers._known) == 2
        assert "secret" not in repr(callers._known)


# -- over the wire


@pytest.fixture
async def served(reviewer: Reviewer, tmp_path: Path) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    authority = Authority(tmp_path)
    authority.issue("metrics")
    certificate = CertificateFiles(tmp_path / "metrics.crt", tmp_path / "metrics.key")
    metrics = Metrics()
    metrics.run_finished("succeeded", "AllSucceeded")
    server = MetricsServer(metrics, certificate.context, callers_of(reviewer))
    port = await server.start("127.0.0.1", 0)
    yield f"127.0.0.1:{port}/metrics", authority.trust()
    await server.close()


async def ask(url: str, trust: ssl.SSLContext | None = None, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url, ssl=trust or True, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_whoever_may_sees_them(served: tuple[str, ssl.SSLContext]) -> None:
    where, trust = served
    status, text = await ask(f"https://{where}", trust, Authorization="Bearer good")
    assert status == 200
    assert "fairlead_runs_finished_total" in text


@pytest.mark.parametrize(
    ("headers", "expected"), [({}, 401), ({"Authorization": "Bearer no"}, 401), ({"Authorization": "Bearer poor"}, 403)]
)
async def test_others_do_not(served: tuple[str, ssl.SSLContext], headers: dict[str, str], expected: int) -> None:
    where, trust = served
    status, text = await ask(f"https://{where}", trust, **headers)
    assert status == expected
    assert "fairlead_" not in text


async def test_nobody_does_in_the_clear(served: tuple[str, ssl.SSLContext]) -> None:
    with pytest.raises(aiohttp.ClientError):
        await ask(f"http://{served[0]}", Authorization="Bearer good")


async def test_there_are_none_beside_the_probes_then() -> None:
    probes = ProbeServer(None, {}, {})
    port = await probes.start("127.0.0.1", 0)
    try:
        assert (await ask(f"http://127.0.0.1:{port}/metrics"))[0] == 404
        assert (await ask(f"http://127.0.0.1:{port}/healthz"))[0] == 200
    finally:
        await probes.close()
