"""Reading what a container has logged: its standard output and error together, in the order they came."""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.line import CLEAN_UP, Turn

from .resources import PODS, ObjectKey
from .transport import ApiClient

__all__ = ["read_log", "read_log_end", "read_log_lines"]

#: How many of the last lines are asked for at first; of longer ones fewer fit.
_LINES = 10_000
_TRIES = 4

#: A log of gigabytes takes its time.
_PERSON_SECONDS = 300.0


async def read_log(client: ApiClient, pod: ObjectKey, container: str, *, limit_bytes: int) -> str:
    """Return the first bytes of a container's log as text; a log of less than `limit_bytes` bytes is whole.

    The API server asks the kubelet for it, which has it for as long as the pod is there and its node answers.

    Raises:
        NotFound: there is no such pod.
        ApiError: anything else that goes wrong, above all a node that does not answer.
    """
    answer = await _ask(client, pod, {"container": container, "limitBytes": str(limit_bytes)})
    return answer[:limit_bytes].decode("utf-8", "replace")


async def read_log_end(
    client: ApiClient, pod: ObjectKey, container: str, *, limit_bytes: int, previous: bool = False
) -> bytes:
    """Return the last lines of a container's log, of so many bytes at most; in the turns of clean-up.

    `previous` is that of the container before its last restart.

    The API server counts lines from the end, but bytes from the beginning. So fewer lines are asked for until they fit;
    of one that is longer than the limit the beginning is returned.

    Raises:
        NotFound: there is no such pod.
        ApiError: anything else that goes wrong.
    """
    lines, answer = _LINES, b""
    for _ in range(_TRIES):
        asked = {"container": container, "tailLines": str(lines), "limitBytes": str(limit_bytes + 1)}
        asked |= {"previous": "true"} if previous else {}
        answer = await _ask(client, pod, asked, CLEAN_UP)
        if len(answer) <= limit_bytes or lines == 1:
            break
        lines = max(1, min(lines // 2, answer.count(b"\n") * 9 // 10))
    return answer[:limit_bytes]


async def read_log_lines(client: ApiClient, pod: ObjectKey, container: str, *, last: int | None = None) -> bytes:
    """Return a container's log, or its last lines, for a person who waits for it. Raises as :func:`read_log` does."""
    asked = {"container": container} | ({} if last is None else {"tailLines": str(last)})
    return await _ask(client, pod, asked, seconds=_PERSON_SECONDS)


async def _ask(
    client: ApiClient, pod: ObjectKey, query: Mapping[str, str], turn: Turn | None = None, seconds: float | None = None
) -> bytes:
    return await client.request(
        "GET",
        PODS.path(pod.namespace, pod.name, "log"),
        verb="get",
        resource="pods/log",
        params=query,
        accept="*/*",
        turn=turn,
        seconds=seconds,
    )
