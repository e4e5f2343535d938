"""`fairlead archive list`: the runs that are in the archive."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from fairlead.cli.options import Archive
from fairlead.cli.tree import Format

__all__ = ["EXAMPLES", "archive_list"]

EXAMPLES = (
    "fairlead archive list --archive s3://acme-fairlead/prod",
    "fairlead archive list -n data --since 2026-11-01 --failed",
    "kubectl exec -n fairlead deploy/fairlead -- fairlead archive list      # an archive on the operator's volume",
)


def archive_list(
    namespace: Annotated[
        str | None, typer.Option("-n", "--namespace", help="Only its runs. Default: those of all namespaces.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Only runs of this name.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--since", formats=["%Y-%m-%d"], help="Only those that ended on this day or later."),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that did not succeed.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most, the latest of each namespace.")] = 100,
    archive: Archive = None,
    output: Annotated[Format, typer.Option("-o", "--output", help="`json` is for programs.")] = Format.PRETTY,
) -> None:
    """List finished runs in the archive, the latest first.

    A run that was retried is there once for each of its ends; the epoch counts them.

    Exit codes: 0 listed, 2 wrong usage, 3 the archive cannot be read.
    """
    from fairlead.cli.archived import ListRequest, list_runs

    request = ListRequest(
        archive=archive,
        namespace=namespace or "",
        name=name or "",
        since=None if since is None else since.date(),
        failed=failed,
        limit=limit,
        as_json=output is Format.JSON,
    )
    raise typer.Exit(list_runs(request))
