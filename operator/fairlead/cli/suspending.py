"""Suspending and resuming a run on a cluster: `spec.suspend`, and the operator's word that it has seen it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from fairlead.cli.asking import settled
from fairlead.cli.cluster import connect
from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.terminal import data
from fairlead.cli.view import condition
from fairlead.kube.resources import WORKFLOWS

__all__ = ["Suspension", "set_suspend"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """What was asked for on the command line; see `suspend.py` and `resume.py`."""

    name: str
    suspend: bool
    timeout: int = 30
    namespace: str | None = None
    kubeconfig: Path | None = None
    context: str | None = None


def set_suspend(change: Suspension) -> int:
    """Suspend or resume a run; returns the exit code. Raises :class:`CliError`."""
    return asyncio.run(_set(change))


async def _set(change: Suspension) -> int:
    async with connect(change.kubeconfig, change.context, change.namespace) as cluster:
        workflow = await cluster.read(change.name)
        if condition(workflow.get("status") or {}, "Finished").get("status") == "True":
            raise CliError(f"{change.name} has finished", ExitCode.FAILED)
        changes = {"metadata": {"uid": workflow["metadata"]["uid"]}, "spec": {"suspend": change.suspend}}
        edited = await cluster.edit(WORKFLOWS, change.name, changes)
        generation = int(edited["metadata"]["generation"])

        def seen(found: Mapping[str, Any]) -> bool:
            return int((found.get("status") or {}).get("observedGeneration", 0)) >= generation

        found = await settled(cluster, edited, seen, change.timeout)
        if found is None:
            raise CliError(
                f"no operator has taken notice within {change.timeout} s; the change stays", ExitCode.UNREACHABLE
            )
        data().print(Text(_said(change, found)), soft_wrap=True)
        return ExitCode.OK


def _said(change: Suspension, workflow: Mapping[str, Any]) -> str:
    status = workflow["status"]
    if condition(status, "Finished").get("status") == "True":
        return f"{change.name} has finished meanwhile"
    if change.suspend:
        message = status.get("message") or ""
        return f"{change.name} is suspended" + (f": {message}" if message else "")
    return f"{change.name} goes on"
