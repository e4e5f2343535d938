"""`http` tasks on this machine: the operator's own carrier, with the rights of whoever runs it.

Whoever runs a workflow here reaches their own network anyway. So the task's `allowPrivate` alone decides on private
addresses, as it would in a cluster whose administrator allows all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fairlead.clock import utc_now
from fairlead.egress.addresses import EVERYWHERE, Addresses
from fairlead.egress.connections import Connections
from fairlead.egress.request import SecretUnavailable
from fairlead.egress.sender import Sender
from fairlead.engine.commands import StartAttempt
from fairlead.engine.events import AttemptSeen

__all__ = ["Requests"]


class Requests:
    """Carries out `http` tasks; `tell` hears how each has ended."""

    def __init__(self, tell: Callable[[AttemptSeen], None]) -> None:
        self._tell = tell
        self._sender = Sender(Connections(Addresses(EVERYWHERE)))
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def start(self, start: StartAttempt, group: asyncio.TaskGroup) -> asyncio.Task[None]:
        """Begin to carry one out, in a task of `group`."""
        task = group.create_task(self._carry(start), name=start.object_name)
        self._under_way[start.object_name] = task
        task.add_done_callback(lambda _: self._under_way.pop(start.object_name))
        return task

    def end(self, object_name: str) -> None:
        """Give one up, if it is under way."""
        if (task := self._under_way.get(object_name)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Close all connections."""
        await self._sender.close()

    async def _carry(self, start: StartAttempt) -> None:
        started_at = utc_now()
        outcome = await self._sender.send(start.work, key=start.object_name, resumed=False, read_secret=_no_secrets)
        self._tell(
            AttemptSeen(
                node=start.node,
                number=start.number,
                object_name=start.object_name,
                started_at=started_at,
                outcome=outcome,
            )
        )


async def _no_secrets(name: str, key: str) -> str:
    raise SecretUnavailable("NeedsCluster", f"key {key!r} of Secret {name!r} is in a cluster")
