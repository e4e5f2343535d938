"""An operator that kills itself at a chosen request: `python -m e2e.crashing_operator OPTIONS…`.

FAIRLEAD_CRASH is `VERB RESOURCE WHEN NUMBER`, such as `create pods before 3`: SIGKILL right before the third such
request leaves, or right after its answer came and before anybody has seen it. The operator's code is the shipping one;
only the transport's `request` is wrapped.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from typing import Any

from fairlead.kube.transport import ApiClient

_send = ApiClient.request


def _arm(point: str) -> None:
    verb, resource, when, number = point.split()
    left = int(number)

    async def request(self: ApiClient, method: str, path: str, **named: Any) -> bytes:
        nonlocal left
        matches = named["verb"] == verb and named["resource"] == resource
        left -= matches
        chosen = matches and left == 0  # others may be under way when this one's answer comes
        if chosen and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await _send(self, method, path, **named)
        if chosen and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    ApiClient.request = request  # type: ignore[method-assign]


if __name__ == "__main__":
    _arm(os.environ["FAIRLEAD_CRASH"])
    sys.argv[0] = "fairlead.controllers"
    runpy.run_module("fairlead.controllers", run_name="__main__")
