"""Stands in for kopf: watches the Workflows and tells of them, as well and as badly as kopf does.

After every end of a watch it lists again, and what was deleted meanwhile is never told (kopf keeps no copy to compare
with); after an error it is deaf for a while. The operator has to make up for both by its own sweep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from fairlead.kube.errors import ApiError, Gone
from fairlead.kube.lines import LineSplitter
from fairlead.kube.resources import WORKFLOWS
from fairlead.kube.transport import ApiClient

__all__ = ["follow_workflows"]

#: Seconds, as the operator sets kopf's `networking.error_backoffs`.
_BACKOFFS = (0.5, 1.0, 2.0, 2.0, 3.0)


async def follow_workflows(
    client: ApiClient, tell: Callable[[str | None, dict[str, Any]], None], ready: asyncio.Event
) -> None:
    """Tell of every Workflow, and of each change: `tell(type, object)`, of type None while listing.

    Sets `ready` once a first list was read.
    """
    failures = 0
    version = ""
    while True:
        try:
            if not version:
                async for page in client.list_pages(WORKFLOWS):
                    version = page.resource_version
                    for raw in page.items:
                        tell(None, raw)
                ready.set()
            async for event in _events(client, version):
                if event["type"] == "ERROR":
                    version = ""
                    break
                version, failures = event["object"]["metadata"]["resourceVersion"], 0
                if event["type"] != "BOOKMARK":
                    tell(event["type"], event["object"])
        except Gone:
            version = ""
        except ApiError:
            version = ""
            await asyncio.sleep(_BACKOFFS[min(failures, len(_BACKOFFS) - 1)])
            failures += 1


async def _events(client: ApiClient, version: str) -> Any:
    lines = LineSplitter()
    async with client.watch(WORKFLOWS, resource_version=version, server_timeout=300, idle_timeout=310) as chunks:
        async for chunk in chunks:
            for line in lines.feed(chunk):
                yield orjson.loads(line)
