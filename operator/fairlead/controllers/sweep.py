"""When all Workflows are looked at, and what is told of it. What is looked for is `cleanup.py`'s."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from fairlead.kube.errors import ApiError

__all__ = ["Sweep"]

log = logging.getLogger(__name__)

_SHORTEST_SECONDS, _LONGEST_SECONDS = 60.0, 180.0

#: After one that failed: until one succeeds, this replica is not ready.
_AGAIN_SECONDS = 15.0

#: One costs 40 us of CPU here, and more in the API server: so it is 0.2 % of a CPU for up to nine thousand.
_WORKFLOWS_A_SECOND = 50


class Sweep:
    """Looks at all Workflows now and then: once a minute where there are few, every three where there are thousands.

    Soon again where that failed.

    Args:
        look: looks at all of them; raises `ApiError`.
        known: how many there are.

    Attributes:
        due_at: when the next one is due, or that under way was, by the loop's clock; None before there is any.
        problem: what was wrong with the last one, or "".
    """

    __slots__ = ("_known", "_look", "due_at", "problem")

    def __init__(self, look: Callable[[], Awaitable[None]], known: Callable[[], int]) -> None:
        self._look = look
        self._known = known
        self.due_at: float | None = None
        self.problem = ""

    async def run(self) -> None:
        """Do so for ever."""
        loop = asyncio.get_running_loop()
        while True:
            rest = _AGAIN_SECONDS if self.problem else self._rest()
            self.due_at = loop.time() + rest
            await asyncio.sleep(rest)
            try:
                await self._look()
                self.problem = ""
            except ApiError as error:
                self.problem = f"the Workflows cannot be read: {error}"
                log.warning("%s", self.problem)

    def _rest(self) -> float:
        return min(max(_SHORTEST_SECONDS, self._known() / _WORKFLOWS_A_SECOND), _LONGEST_SECONDS)
