"""Reading what a container has logged: its standard output and error together, in the order they came."""

from __future__ import annotations

from .resources import PODS, ObjectKey
from .transport import ApiClient

__all__ = ["read_log"]


async def read_log(client: ApiClient, pod: ObjectKey, container: str, *, limit_bytes: int) -> str:
    """Return the first bytes of a container's log as text; a log of less than `limit_bytes` bytes is whole.

    The API server asks the kubelet for it, which has it for as long as the pod is there and its node answers.

    Raises:
        NotFound: there is no such pod.
        ApiError: anything else that goes wrong, above all a node that does not answer.
    """
    answer = await client.request(
        "GET",
        PODS.path(pod.namespace, pod.name, "log"),
        verb="get",
        resource="pods/log",
        params={"container": container, "limitBytes": str(limit_bytes)},
        accept="*/*",
    )
    return answer[:limit_bytes].decode("utf-8", "replace")
