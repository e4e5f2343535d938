"""What `fairlead doctor` does: read a cluster, say what seems wrong, and pack all of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from fairlead.cli.bundle.findings import findings
from fairlead.cli.bundle.packing import pack
from fairlead.cli.bundle.reading import gather
from fairlead.cli.cluster import connect
from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.terminal import data, say
from fairlead.clock import utc_now
from fairlead.kube.errors import ApiError

__all__ = ["Request", "diagnose"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line; see `doctor.py`."""

    bundle: Path | None = None
    namespace: str | None = None
    operator_namespace: str | None = None
    kubeconfig: Path | None = None
    context: str | None = None


def diagnose(request: Request) -> int:
    """Look a cluster over; returns the exit code. Raises :class:`CliError`."""
    return asyncio.run(_diagnose(request))


async def _diagnose(request: Request) -> int:
    async with connect(request.kubeconfig, request.context, request.namespace) as cluster:
        try:
            found = await gather(cluster.client, request.namespace, request.operator_namespace)
        except ApiError as error:
            raise cluster.told(error) from error
    now = utc_now()
    wrong = findings(found, now)
    for sentence in wrong:
        data().print(sentence, soft_wrap=True)
    if not wrong:
        data().print("nothing seems to be wrong")
    for problem in found.problems:
        say().print(f"not read: {problem}", soft_wrap=True)
    if request.bundle is not None:
        try:
            pack(request.bundle, found, wrong, now)
        except OSError as error:
            raise CliError(f"--bundle {request.bundle}: {error.strerror or error}") from error
        say().print(f"packed into {request.bundle}: look through it before you hand it on")
    return ExitCode.FAILED if wrong else ExitCode.OK
