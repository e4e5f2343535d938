"""One attempt of an `http` task: what is sent, how it ends, what comes out."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import ssl
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web
from tests.unit.egress.conftest import CERTIFICATE, Client, Server, answering, header, request, secret

from fairlead import __version__
from fairlead.egress.answer import LIMIT, VALUES
from fairlead.engine.model import FailureClass
from fairlead.engine.state import Outcome, Result

CANARY = "canary-5f0e1d"


def failure(outcome: Outcome) -> tuple[FailureClass | None, str]:
    assert outcome.result is Result.FAILED
    assert outcome.values is None
    return outcome.failure_class, outcome.reason


USER, CONFIGURATION, TIMEOUT = FailureClass.USER, FailureClass.CONFIGURATION, FailureClass.TIMEOUT


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[str]:
    """A server that answers with these bytes, whatever it is asked. Yields its url."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class TestWhatIsSent:
    async def test_the_request_of_the_task(self, server: Server, client: Client) -> None:
        outcome = await client.send(
            request(server.url + "/a?b=c", method="PATCH", headers=[header("X-Day", "2026-11-22")], body="hello")
        )
        assert outcome.result is Result.SUCCEEDED
        [asked] = server.asked
        assert (asked.method, asked.path, asked.body) == ("PATCH", "/a?b=c", "hello")
        assert asked.headers["X-Day"] == "2026-11-22"
        assert asked.headers["User-Agent"] == f"fairlead/{__version__}"
        assert asked.headers["Accept-Encoding"] == "identity"

    async def test_the_attempts_name_as_its_idempotency_key(self, server: Server, client: Client) -> None:
        await client.send(request(server.url))
        assert server.asked[0].headers["Idempotency-Key"] == "daily-call-1-x"

    async def test_an_idempotency_key_of_the_users_own(self, server: Server, client: Client) -> None:
        await client.send(request(server.url, headers=[header("idempotency-key", "mine")]))
        assert server.asked[0].headers["Idempotency-Key"] == "mine"

    @pytest.mark.parametrize(
        ("body", "media"),
        [('{"a": 1}', "application/json"), ("[]", "application/json"), ("a=b", "text/plain; charset=utf-8")],
    )
    async def test_the_type_of_the_body(self, server: Server, client: Client, body: str, media: str) -> None:
        await client.send(request(server.url, method="POST", body=body))
        assert server.asked[0].headers["Content-Type"] == media

    async def test_the_type_that_the_task_says(self, server: Server, client: Client) -> None:
        await client.send(request(server.url, method="POST", body="{}", headers=[header("content-type", "text/x")]))
        assert server.asked[0].headers["Content-Type"] == "text/x"

    async def test_a_header_from_a_secret(self, server: Server, client: Client) -> None:
        await client.send(request(server.url, headers=[secret("Authorization", "api")]))
        assert server.asked[0].headers["Authorization"] == f"Bearer {CANARY}"

    async def test_a_missing_secret(self, server: Server, client: Client) -> None:
        outcome = await client.send(request(server.url, headers=[secret("Authorization", "api", "nope")]))
        assert failure(outcome) == (CONFIGURATION, "SecretNotFound")
        assert outcome.message == "no nope in Secret api"
        assert server.asked == []

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("url", "ftp://a.example/x", "is no http:// or https:// address"),
            ("url", "a.example/x", "is no http:// or https:// address"),
            ("url", "//a.example/x", "is no http:// or https:// address"),
            ("url", "file:///etc/passwd", "is no http:// or https:// address"),
            ("url", "http://", "is no http:// or https:// address"),
            ("url", "http://a.example:99999/", "url"),
            ("url", "http://[::1/", "url"),
            ("url", "http://user:pass@a.example/", "credentials belong into a header"),
            ("url", "http://a.example/ b", "a space or control character"),
            ("url", "http://a.example/\r\nX: y", "a space or control character"),
            ("method", "CONNECT", "cannot be sent"),
            ("method", "TRACE", "cannot be sent"),
            ("method", "GET /x HTTP/1.1\r\nX: y\r\n\r\nGET", "cannot be sent"),
            ("headers", [header("Host", "b.example")], "belongs to the connection"),
            ("headers", [header("content-length", "3")], "belongs to the connection"),
            ("headers", [header("Transfer-Encoding", "chunked")], "belongs to the connection"),
            ("headers", [header("Proxy-Authorization", "x")], "belongs to the connection"),
            ("headers", [header("a b", "x")], "no name of a header"),
            ("headers", [header("X", "a\r\nY: b")], "header X: its value is no printable ASCII text"),
            ("headers", [header("X", "ü")], "header X: its value is no printable ASCII text"),
        ],
    )
    async def test_what_cannot_be_sent(self, client: Client, field: str, value: Any, message: str) -> None:
        outcome = await client.send(request("http://a.example/") | {field: value})  # type: ignore[arg-type]
        assert failure(outcome) == (CONFIGURATION, "HttpRefused")
        assert message in outcome.message


class TestTheAnswer:
    async def test_outputs(self, server: Server, client: Client) -> None:
        server.handler = answering(201, {"id": 7, "tags": ["a"]}, X_Trace="t1")
        outputs = {
            "id": "response.body.id",
            "tags": "response.body.tags",
            "trace": "response.headers['x-trace']",
            "status": "response.status",
        }
        outcome = await client.send(request(server.url, outputs=outputs))
        assert outcome.values == {"id": 7, "tags": ["a"], "trace": "t1", "status": 201}

    async def test_what_is_not_json_is_text(self, server: Server, client: Client) -> None:
        server.handler = answering(200, '{"a": 1}')
        outputs = {"text": "response.text", "body": "response.body == null"}
        outcome = await client.send(request(server.url, outputs=outputs))
        assert outcome.values == {"text": '{"a": 1}', "body": True}

    @pytest.mark.parametrize(
        "media", ["application/json", "application/problem+json", "application/json; charset=utf-8"]
    )
    async def test_json_by_its_media_type(self, server: Server, client: Client, media: str) -> None:
        server.handler = answering(200, b'{"a": 1}', Content_Type=media)
        assert (await client.send(request(server.url, outputs={"a": "response.body.a"}))).values == {"a": 1}

    async def test_an_answer_without_the_field(self, server: Server, client: Client) -> None:
        server.handler = answering(200, {})
        outcome = await client.send(request(server.url, outputs={"id": "response.body.id"}))
        assert failure(outcome) == (USER, "ExpressionError")
        assert outcome.message.startswith("output 'id': ")

    @pytest.mark.parametrize("status", [199 + 1, 204, 299])
    async def test_success(self, server: Server, client: Client, status: int) -> None:
        server.handler = answering(status)
        assert (await client.send(request(server.url))).result is Result.SUCCEEDED

    @pytest.mark.parametrize("status", [304, 400, 404, 429, 500, 503, 599])
    async def test_failure(self, server: Server, client: Client, status: int) -> None:
        server.handler = answering(status, "no healthy\n upstream")
        outcome = await client.send(request(server.url + "/x?token=t"))
        assert failure(outcome) == (USER, "HttpStatus")
        assert outcome.message.startswith(f"GET {server.url}/x: {status}")
        if status != 304:  # which has no body
            assert outcome.message.endswith(": no healthy upstream")

    async def test_a_long_body_is_shown_in_part(self, server: Server, client: Client) -> None:
        server.handler = answering(500, "x" * 100_000)
        outcome = await client.send(request(server.url))
        assert len(outcome.message) < 400
        assert outcome.message.endswith("x…")

    async def test_success_by_expression(self, server: Server, client: Client) -> None:
        server.handler = answering(404, {"state": "gone"})
        work = request(server.url, successWhen="response.status == 404 && response.body.state == 'gone'")
        assert (await client.send(work)).result is Result.SUCCEEDED

    async def test_failure_by_expression(self, server: Server, client: Client) -> None:
        server.handler = answering(200, {"state": "failed"})
        outcome = await client.send(request(server.url, successWhen="response.body.state == 'done'"))
        assert failure(outcome) == (USER, "HttpStatus")
        assert outcome.message == f'GET {server.url}/: successWhen is false: 200 OK: {{"state": "failed"}}'

    async def test_an_expression_that_fails(self, server: Server, client: Client) -> None:
        server.handler = answering(200, {})
        outcome = await client.send(request(server.url, successWhen="response.body.state == 'done'"))
        assert failure(outcome) == (USER, "ExpressionError")
        assert outcome.message.startswith("successWhen: ")

    async def test_an_expression_that_is_no_condition(self, server: Server, client: Client) -> None:
        server.handler = answering(200, {"n": 1})
        outcome = await client.send(request(server.url, successWhen="response.body.n"))
        assert (failure(outcome), outcome.message) == ((USER, "ExpressionError"), "successWhen: must be true or false")

    async def test_a_phrase_that_is_no_utf_8_can_be_told_all_the_same(self, client: Client) -> None:
        async with saying(b"HTTP/1.1 500 caf\xe9\r\nContent-Length: 0\r\n\r\n") as url:
            outcome = await client.send(request(url))
        assert failure(outcome) == (USER, "HttpStatus")
        assert outcome.message.encode().endswith(b": 500 caf?")

    async def test_a_header_that_is_no_utf_8_can_be_recorded_all_the_same(self, client: Client) -> None:
        async with saying(b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nContent-Length: 0\r\n\r\n") as url:
            outcome = await client.send(request(url, outputs={"name": "response.headers['x-name']"}))
        assert outcome.values == {"name": "caf?"}
        assert orjson.loads(orjson.dumps(outcome.values)) == json.loads(json.dumps(outcome.values)) == outcome.values

    async def test_a_body_that_decodes_to_what_is_no_text_can_be_recorded_all_the_same(
        self, server: Server, client: Client
    ) -> None:
        server.handler = answering(200, b"\\ud800", Content_Type="text/plain; charset=unicode_escape")
        outcome = await client.send(request(server.url, outputs={"t": "response.text"}))
        assert outcome.values == {"t": "?"}
        assert orjson.loads(orjson.dumps(outcome.values)) == json.loads(json.dumps(outcome.values)) == outcome.values

    @pytest.mark.parametrize("charset", ["idna", "base64", "nobody-knows"])
    async def test_a_charset_that_cannot_stand_for_a_body_is_taken_for_utf_8(
        self, server: Server, client: Client, charset: str
    ) -> None:
        server.handler = answering(200, "Grüße".encode(), Content_Type=f"text/plain; charset={charset}")
        outcome = await client.send(request(server.url, outputs={"t": "response.text"}))
        assert (outcome.reason, outcome.values) == ("", {"t": "Grüße"})


class TestBounds:
    async def test_an_answer_that_is_too_large(self, server: Server, client: Client) -> None:
        server.handler = answering(200, b"x" * (LIMIT + 1))
        outcome = await client.send(request(server.url, outputs={"size": "size(response.text)"}))
        assert failure(outcome) == (USER, "ResponseTooLarge")

    async def test_the_largest_answer(self, server: Server, client: Client) -> None:
        server.handler = answering(200, b"x" * LIMIT)
        outcome = await client.send(request(server.url, outputs={"size": "size(response.text)"}))
        assert outcome.values == {"size": LIMIT}

    @pytest.mark.parametrize("body", [[[]] * VALUES, {str(n): n for n in range(VALUES)}, [{"a": [1]}] * (VALUES // 2)])
    async def test_an_answer_with_too_many_values(self, server: Server, client: Client, body: Any) -> None:
        server.handler = answering(200, body)
        outcome = await client.send(request(server.url, successWhen="size(response.body) > 0"))
        assert failure(outcome) == (USER, "ResponseTooLarge")
        assert "more than 50,000 values" in outcome.message

    async def test_the_size_does_not_matter_where_nobody_looks(self, server: Server, client: Client) -> None:
        server.handler = answering(200, b"x" * (4 * LIMIT))
        assert (await client.send(request(server.url))).result is Result.SUCCEEDED

    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    async def test_packed_answers_are_unpacked(self, server: Server, client: Client, encoding: str) -> None:
        packed = gzip.compress(b'{"a": 1}') if encoding == "gzip" else zlib.compress(b'{"a": 1}')
        server.handler = answering(200, packed, Content_Type="application/json", Content_Encoding=encoding)
        assert (await client.send(request(server.url, outputs={"a": "response.body.a"}))).values == {"a": 1}

    async def test_a_small_answer_that_unpacks_to_a_large_one(self, server: Server, client: Client) -> None:
        bomb = gzip.compress(b"0" * (64 * LIMIT))
        server.handler = answering(200, bomb, Content_Encoding="gzip")
        outcome = await client.send(request(server.url, outputs={"size": "size(response.text)"}))
        assert failure(outcome) == (USER, "ResponseTooLarge")

    async def test_an_answer_that_never_ends(self, server: Server, client: Client) -> None:
        async def endless(asked: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(asked)
            while True:
                await response.write(b"x" * 65536)

        server.handler = endless
        outcome = await client.send(request(server.url, outputs={"size": "size(response.text)"}))
        assert failure(outcome) == (USER, "ResponseTooLarge")

    @pytest.mark.parametrize(("method", "doubt"), [("GET", False), ("POST", True)])
    async def test_an_answer_that_does_not_come(self, server: Server, client: Client, method: str, doubt: bool) -> None:
        async def silent(_: web.Request) -> web.StreamResponse:
            await asyncio.Event().wait()
            raise AssertionError

        server.handler = silent
        outcome = await client.send(request(server.url, method=method, timeoutSeconds=0.05))
        assert failure(outcome) == (TIMEOUT, "TimedOut")
        assert "no complete answer within" in outcome.message
        assert ("may have been carried out" in outcome.message) is doubt

    async def test_redirects_in_circles(self, server: Server, client: Client) -> None:
        server.handler = answering(302, Location="/again")
        outcome = await client.send(request(server.url))
        assert (failure(outcome), len(server.asked)) == ((USER, "HttpStatus"), 6)
        assert "more than 5 redirects" in outcome.message


async def _hang_up(asked: web.Request) -> web.StreamResponse:
    assert asked.transport is not None
    asked.transport.abort()
    return web.Response()


class TestWhatIsNotKnown:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "get"])
    async def test_methods_that_may_be_sent_twice_are_resumed(
        self, server: Server, client: Client, method: str
    ) -> None:
        outcome = await client.send(request(server.url, method=method), resumed=True)
        assert (outcome.result, len(server.asked)) == (Result.SUCCEEDED, 1)

    @pytest.mark.parametrize("method", ["POST", "PATCH", "post"])
    async def test_others_are_not(self, server: Server, client: Client, method: str) -> None:
        outcome = await client.send(request(server.url, method=method), resumed=True)
        assert failure(outcome) == (USER, "OutcomeUnknown")
        assert f"{method} is not sent again unless the task sets idempotent: true" in outcome.message
        assert server.asked == []

    async def test_unless_the_task_says_so(self, server: Server, client: Client) -> None:
        outcome = await client.send(request(server.url, method="POST", idempotent=True), resumed=True)
        assert (outcome.result, len(server.asked)) == (Result.SUCCEEDED, 1)

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"method": "GET"}, "HttpUnavailable"),
            ({"method": "POST"}, "OutcomeUnknown"),
            ({"method": "POST", "idempotent": True}, "HttpUnavailable"),
        ],
    )
    async def test_a_connection_that_breaks_before_the_answer(
        self, server: Server, client: Client, fields: dict[str, Any], reason: str
    ) -> None:
        server.handler = _hang_up
        outcome = await client.send(request(server.url, **fields))
        assert failure(outcome) == (USER, reason)
        if reason == "OutcomeUnknown":
            assert len(server.asked) == 1  # nor does the library repeat it, as it does with a GET

    async def test_what_never_left_is_known_not_to_have_been_done(self, client: Client) -> None:
        outcome = await client.send(request("http://127.0.0.1:1/", method="POST"))
        assert failure(outcome) == (USER, "HttpUnavailable")


class TestRedirects:
    async def test_they_are_followed(self, server: Server, other: Server, client: Client) -> None:
        server.handler = answering(301, Location=other.url + "/there?x=1")
        other.handler = answering(200, {"a": 1})
        assert (await client.send(request(server.url, outputs={"a": "response.body.a"}))).values == {"a": 1}
        assert other.asked[0].path == "/there?x=1"

    @pytest.mark.parametrize(
        ("status", "method", "then"),
        [
            (301, "POST", "GET"),
            (302, "POST", "GET"),
            (302, "PUT", "PUT"),
            (303, "PUT", "GET"),
            (303, "HEAD", "HEAD"),
            (307, "POST", "POST"),
            (308, "POST", "POST"),
        ],
    )
    async def test_the_method_and_the_body(
        self, server: Server, other: Server, client: Client, status: int, method: str, then: str
    ) -> None:
        server.handler = answering(status, Location=other.url)
        await client.send(request(server.url, method=method, body="data"))
        assert (other.asked[0].method, other.asked[0].body) == (then, "" if then == "GET" else "data")

    async def test_secrets_and_credentials_stay_with_their_origin(
        self, server: Server, other: Server, client: Client
    ) -> None:
        server.handler = answering(307, Location=other.url)
        headers = [secret("X-Api-Key", "api"), header("authorization", "Basic eA=="), header("X-Day", "1")]
        await client.send(request(server.url, headers=headers))
        assert server.asked[0].headers["X-Api-Key"] == f"Bearer {CANARY}"
        sent = other.asked[0].headers
        assert "x-api-key" not in sent
        assert "authorization" not in sent
        assert sent["x-day"] == "1"

    async def test_they_go_along_within_it(self, server: Server, client: Client) -> None:
        async def once(asked: web.Request) -> web.Response:
            return web.Response(status=200 if asked.path == "/b" else 302, headers={"Location": "/b"})

        server.handler = once
        await client.send(request(server.url + "/a", headers=[secret("X-Api-Key", "api")]))
        assert [asked.headers["X-Api-Key"] for asked in server.asked] == [f"Bearer {CANARY}"] * 2

    async def test_without_a_place_to_go(self, server: Server, client: Client) -> None:
        server.handler = answering(302)
        assert failure(await client.send(request(server.url))) == (USER, "HttpStatus")

    @pytest.mark.parametrize("location", ["ftp://a.example/", "http://u:p@a.example/", "http://[::1/"])
    async def test_to_what_is_no_url(self, server: Server, client: Client, location: str) -> None:
        server.handler = answering(302, Location=location)
        assert failure(await client.send(request(server.url))) == (CONFIGURATION, "HttpRefused")


class TestSecrets:
    async def test_none_shows_in_what_a_server_repeats(
        self, server: Server, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def echo(asked: web.Request) -> web.Response:
            value = asked.headers["Authorization"]
            return web.json_response({"sent": value}, status=400, reason=f"Bad {CANARY}", headers={"X-Sent": value})

        caplog.set_level(logging.DEBUG)
        server.handler = echo
        for fields in (
            {},
            {"successWhen": "true", "outputs": {"all": "response.text", "h": "response.headers", "b": "response.body"}},
            {"successWhen": "response.text.missing"},
        ):
            outcome = await client.send(request(server.url, headers=[secret("Authorization", "api")], **fields))
            assert server.asked[-1].headers["Authorization"] == f"Bearer {CANARY}"
            assert CANARY not in repr(outcome)
            assert CANARY not in json.dumps(outcome.values)
        assert CANARY not in caplog.text

    async def test_none_shows_in_a_refused_redirect(self, server: Server, client: Client) -> None:
        server.handler = answering(302, Location=f"ftp://a.example/{CANARY}")
        outcome = await client.send(request(server.url, headers=[secret("Authorization", "api")]))
        assert failure(outcome) == (CONFIGURATION, "HttpRefused")
        assert CANARY not in outcome.message

    @pytest.mark.parametrize("shown", range(8, len(CANARY)))
    @pytest.mark.parametrize("to", ["ftp://a.example/", "http://[::1/"])
    async def test_nor_a_part_of_one_where_what_is_refused_is_cut(
        self, server: Server, client: Client, to: str, shown: int
    ) -> None:
        server.handler = answering(302, Location=to + "x" * (100 - len(to) - shown) + CANARY)
        outcome = await client.send(request(server.url, headers=[secret("Authorization", "api")]))
        assert failure(outcome) == (CONFIGURATION, "HttpRefused")
        assert CANARY[:8] not in outcome.message

    async def test_none_shows_in_a_redirect_to_where_nobody_may_go(self, server: Server, client: Client) -> None:
        server.handler = answering(302, Location=f"http://10.0.0.1/{CANARY}/x")
        outcome = await client.send(request(server.url, headers=[secret("Authorization", "api")]))
        assert failure(outcome) == (CONFIGURATION, "HttpRefused")
        assert "http://10.0.0.1/[secret]/x: " in outcome.message
        assert CANARY not in repr(outcome)

    async def test_none_shows_in_a_redirect_to_where_nobody_answers(self, server: Server, client: Client) -> None:
        server.handler = answering(302, Location=f"http://127.0.0.1:1/{CANARY}")
        outcome = await client.send(request(server.url, headers=[secret("Authorization", "api")]))
        assert failure(outcome) == (USER, "HttpUnavailable")
        assert "http://127.0.0.1:1/[secret]: " in outcome.message
        assert CANARY not in repr(outcome)

    @pytest.mark.parametrize(
        ("media", "written"),
        [
            ("application/json", r"canary\u002d5f0e1d"),
            ("application/json", r"canary\u002D5f0e1d"),
            ("application/json", r"\u0063\u0061\u006e\u0061\u0072\u0079\u002D\u0035f0e1d"),
            ("text/plain", "canary%2d5f0e1d"),
            ("text/plain", "canary%2D5f0e1d"),
            ("text/html", "canary&#45;5f0e1d"),
            ("text/html", "canary&#x2d;5f0e1d"),
            ("text/html", "canary&#X002D;5f0e1d"),
        ],
    )
    async def test_none_shows_however_a_server_escapes_it(
        self, server: Server, client: Client, media: str, written: str
    ) -> None:
        headers = [secret("Authorization", "api")]
        server.handler = answering(200, f'{{"sent": "{written}"}}'.encode(), Content_Type=media)
        outcome = await client.send(
            request(server.url, headers=headers, outputs={"t": "response.text", "b": "response.body"})
        )
        body = {"sent": "[secret]"} if media == "application/json" else None
        assert outcome.values == {"t": '{"sent": "[secret]"}', "b": body}
        server.handler = answering(400, written.encode(), Content_Type=media)
        outcome = await client.send(request(server.url, headers=headers))
        assert failure(outcome) == (USER, "HttpStatus")
        assert outcome.message.endswith(": [secret]")

    @pytest.mark.parametrize("written", [r"ab\/cd\u002Bef\/gh", r"ab\/cd+ef\/gh", "ab%2Fcd%2bef%2Fgh", "ab/cd+ef/gh"])
    async def test_none_shows_of_one_in_which_there_is_something_to_escape(
        self, server: Server, client: Client, written: str
    ) -> None:
        server.handler = answering(200, f'{{"sent":"{written}"}}'.encode(), Content_Type="application/json")
        outcome = await client.send(
            request(server.url, headers=[secret("X-Api-Key", "slashed")], outputs={"b": "response.body"})
        )
        assert server.asked[0].headers["X-Api-Key"] == "ab/cd+ef/gh"
        assert outcome.values == {"b": {"sent": "[secret]"}}
        assert "ab/cd+ef/gh" not in json.dumps(outcome.values) + repr(outcome)

    async def test_none_shows_of_one_with_a_blank_at_its_end_which_no_server_gets(
        self, server: Server, client: Client
    ) -> None:
        async def echo(asked: web.Request) -> web.Response:
            return web.Response(text=f"[{asked.headers['X-Api-Key']}]")

        server.handler = echo
        outcome = await client.send(
            request(server.url, headers=[secret("X-Api-Key", "blank")], outputs={"t": "response.text"})
        )
        assert server.asked[0].headers["X-Api-Key"] == "tok-5f0e1d"
        assert outcome.values == {"t": "[[secret]]"}

    async def test_none_shows_when_we_have_a_bug(
        self, server: Server, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("fairlead.egress.sender.read", None)
        outcome = await client.send(request(server.url, headers=[secret("Authorization", "api")]))
        assert failure(outcome) == (USER, "InternalError")
        assert "failed unexpectedly" in caplog.text
        assert CANARY not in caplog.text + repr(outcome)


class TestEncryption:
    async def test_a_certificate_that_nobody_vouches_for(self, encrypted: Server, client: Client) -> None:
        outcome = await client.send(request(encrypted.url))
        assert failure(outcome) == (USER, "HttpUnavailable")
        assert "certificate" in outcome.message
        assert encrypted.asked == []

    async def test_a_certificate_that_somebody_vouches_for(self, encrypted: Server) -> None:
        client = Client("127.0.0.0/8", tls=ssl.create_default_context(cafile=str(CERTIFICATE)))
        assert (await client.send(request(encrypted.url))).result is Result.SUCCEEDED
        await client.sender.close()

    async def test_a_certificate_of_another_name(self, encrypted: Server) -> None:
        client = Client("127.0.0.0/8", tls=ssl.create_default_context(cafile=str(CERTIFICATE)))
        outcome = await client.send(request(encrypted.url.replace("127.0.0.1", "127.0.0.2")))
        assert failure(outcome) == (USER, "HttpUnavailable")
        await client.sender.close()

    async def test_no_redirect_from_https_to_http(self, encrypted: Server, server: Server) -> None:
        client = Client("127.0.0.0/8", tls=ssl.create_default_context(cafile=str(CERTIFICATE)))
        encrypted.handler = answering(302, Location=server.url)
        outcome = await client.send(request(encrypted.url))
        assert failure(outcome) == (CONFIGURATION, "HttpRefused")
        assert server.asked == []
        await client.sender.close()
