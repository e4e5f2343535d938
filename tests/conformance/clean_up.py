"""Waits until the clean-up of a real cluster works for every kind that is played.

The garbage collector learns of a CRD up to 30 seconds after it was installed. Until then it leaves what it would
delete, and that is no answer of the API server to compare with.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from tests.conformance.bodies import KINDS, Kind, manifest
from tests.conformance.players import Real, Unfit

from fairlead.kube.resources import CONFIGMAPS, EVENTS

__all__ = ["clean_up_works"]

Object = dict[str, Any]

_SECONDS = 120.0

#: Events are neither collected nor may they own anything.
_COLLECTED = tuple(kind for kind in KINDS if kind.resource is not EVENTS)


async def clean_up_works(real: Real, seconds: float = _SECONDS) -> None:
    """Delete the owner of one object of each kind; wait until all are gone.

    None of them owns anything: of what does, the collector learns from what is owned, though it may not follow the
    kind itself yet, and deletes it. A CRD that comes while it looks for kinds is followed at its next look only.

    Raises:
        Unfit: it did not come to that within `seconds`.
    """
    root = await real.create(CONFIGMAPS, {"metadata": {"name": "probe"}})
    for kind in _COLLECTED:
        await real.create(kind.resource, _owned(kind, f"probe-{kind.resource.plural}", root))
    await real.delete(CONFIGMAPS.path(real.namespace, "probe"))
    left: list[str] = []
    try:
        async with asyncio.timeout(seconds):
            while left := [each for kind in _COLLECTED for each in await real.names(kind, "probe")]:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise Unfit(f"the garbage collector left {', '.join(left)} for {seconds:g} s") from None


def _owned(kind: Kind, name: str, owner: Object) -> Object:
    body = manifest(kind, name, random.Random(1))
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    reference |= {field: owner["metadata"][field] for field in ("name", "uid")}
    body["metadata"] |= {"ownerReferences": [reference]}
    return body
