"""A bucket: as much of the S3 API as an archive needs, over HTTP, in a thread of its own. It believes any signature.

Pages of lists are short, so that there are several.
"""

from __future__ import annotations

import asyncio
import threading
import xml.etree.ElementTree as ET
from typing import Self
from xml.sax.saxutils import escape

from aiohttp import web

PAGE = 10


class Bucket:
    """`objects` are what is stored; with `refuses`, every request is answered by that status."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.objects: dict[str, bytes] = {}
        self.refuses = 0
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        for _ in range(10):  # what connections, even one just accepted, put off until it goes round: else they are lost
            self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def close(self) -> None:
        """Go away."""
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
            self._runner = None

    async def _start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _answer(self, request: web.Request) -> web.Response:
        bucket, _, key = request.match_info["path"].partition("/")
        if self.refuses or bucket != self.name:
            return web.Response(status=self.refuses or 404)
        match request.method, key:
            case "PUT", _:
                self.objects[key] = await request.read()
                return web.Response(headers={"ETag": '"1"'})
            case "POST", "" if "delete" in request.query:
                return self._delete(await request.text())
            case (("GET" | "HEAD"), ""):
                return self._list(request)
            case _ if key in self.objects:
                headers = {"ETag": '"1"', "Last-Modified": "Sun, 22 Nov 2026 08:00:00 GMT"}
                return web.Response(body=self.objects[key], headers=headers)
        return web.Response(status=404)

    def _delete(self, body: str) -> web.Response:
        keys = [each.text or "" for each in ET.fromstring(body).iter() if each.tag.endswith("Key")]
        for key in keys:
            self.objects.pop(key, None)
        told = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        return web.Response(text=f"<DeleteResult>{told}</DeleteResult>", content_type="application/xml")

    def _list(self, request: web.Request) -> web.Response:
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
        found: dict[str, str] = {}
        for key in sorted(each for each in self.objects if each.startswith(prefix)):
            folder, cut, _ = key.removeprefix(prefix).partition(delimiter) if delimiter else ("", "", "")
            if cut:
                whole = escape(prefix + folder + delimiter)
                found[whole] = f"<CommonPrefixes><Prefix>{whole}</Prefix></CommonPrefixes>"
            else:
                found[key] = (
                    f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-22T08:00:00.000Z</LastModified>"
                    f'<ETag>"1"</ETag><Size>{len(self.objects[key])}</Size></Contents>'
                )
        start = int(request.query.get("continuation-token", 0))
        page, more = list(found.values())[start : start + PAGE], len(found) > start + PAGE
        token = f"<NextContinuationToken>{start + PAGE}</NextContinuationToken>" if more else ""
        text = (
            f"<ListBucketResult><Name>{self.name}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"
            f"<MaxKeys>{PAGE}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(page)}</ListBucketResult>"
        )
        return web.Response(text=text, content_type="application/xml")
