"""The namespaces of an operator that serves some by name: which of them are, and what is missing in the others.

The Workflows of one are followed once everything else in it has been read. kopf would follow several, too, but ends
altogether, and the process with it, when one of them may not be read any more; so whoever has a say in one namespace
could stop the operator of all. Here that one namespace waits until it may be read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.kube.informer import Informer
from fairlead.kube.informers import Informers
from fairlead.kube.scope import Following

__all__ = ["WatchedNamespaces"]


class WatchedNamespaces:
    """All namespaces that `workflows` follows, in which `others` keep what the runs have; run it as long as those."""

    def __init__(self, workflows: Informers[Any], others: Mapping[str, Following[Any]]) -> None:
        self._workflows = workflows
        self._others = {plural: each for plural, each in others.items() if isinstance(each, Informers)}

    async def run(self) -> None:
        """Follow the Workflows of each namespace as soon as that may be; until cancelled."""
        async with asyncio.TaskGroup() as group:
            for namespace in self._workflows.parts:
                group.create_task(self._follow(namespace))

    async def _follow(self, namespace: str) -> None:
        await asyncio.gather(*(informer.parts[namespace].synced.wait() for informer in self._others.values()))
        await self._workflows.run_part(namespace)

    def missing_in(self, namespace: str) -> str:
        """Return why a namespace is not served, or ""."""
        for plural, part in self._parts(namespace):
            if part.refused or not part.synced.is_set():
                return part.last_error or f"reading all {plural} in namespace {namespace}"
        return ""

    def waits_for(self) -> str:
        """Return what is missing before work can begin, or "": at least one is served, and none is being read.

        One that may not be read is not waited for.
        """
        missing = {namespace: what for namespace in self._workflows.parts if (what := self.missing_in(namespace))}
        if len(missing) == len(self._workflows.parts):
            return next(iter(missing.values()))
        return next((what for namespace, what in missing.items() if not self._is_refused(namespace)), "")

    def _is_refused(self, namespace: str) -> bool:
        return any(part.refused for _, part in self._parts(namespace))

    def _parts(self, namespace: str) -> Iterator[tuple[str, Informer[Any]]]:
        for plural, informer in self._others.items():
            yield plural, informer.parts[namespace]
        yield "workflows", self._workflows.parts[namespace]
