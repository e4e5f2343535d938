"""What is asked for, and made, of a container's log."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from fairlead.kube.errors import ServerError
from fairlead.kube.logs import read_log
from fairlead.kube.resources import ObjectKey
from fairlead.kube.transport import ApiClient

POD = ObjectKey("ns", "p")


def logged(text: bytes) -> Any:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=text, content_type="text/plain")

    return answer


async def test_no_more_than_is_wanted_is_asked_for(api: Any, client: ApiClient) -> None:
    api.others.append(logged(b"hello\n"))
    assert await read_log(client, POD, "main", limit_bytes=4096) == "hello\n"
    [asked] = api.asked
    assert (asked.path, asked.query) == (
        "/api/v1/namespaces/ns/pods/p/log",
        {"container": "main", "limitBytes": "4096"},
    )
    assert asked.headers["Accept"] == "*/*"


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        pytest.param(b"abcdef", "abcd", id="more than was asked for"),
        pytest.param(b"abc\xc3\xbc", "abc\ufffd", id="cut inside a character"),
        pytest.param(b"\xff", "\ufffd", id="not UTF-8"),
        pytest.param(b"", "", id="nothing"),
    ],
)
async def test_a_log_is_text_of_at_most_so_many_bytes(api: Any, client: ApiClient, sent: bytes, text: str) -> None:
    api.others.append(logged(sent))
    assert await read_log(client, POD, "main", limit_bytes=4) == text


async def test_a_node_that_is_away(api: Any, client: ApiClient) -> None:
    api.others.append(api.json({"kind": "Status", "message": "no route to host"}, 500))
    with pytest.raises(ServerError, match="no route to host"):
        await read_log(client, POD, "main", limit_bytes=4)
