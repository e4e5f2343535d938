"""`fairlead archive prune`: deleting what is old from an archive."""

from __future__ import annotations

from typing import Annotated

import typer

from fairlead.cli.options import Archive

__all__ = ["EXAMPLES", "archive_prune"]

EXAMPLES = (
    "fairlead archive prune --older-than-days 365 --archive file:///archive --dry-run",
    "fairlead archive prune --older-than-days 30 --logs-only",
)


def archive_prune(
    older_than_days: Annotated[
        int, typer.Option("--older-than-days", min=1, metavar="DAYS", help="How old, at least.")
    ],
    logs_only: Annotated[bool, typer.Option("--logs-only", help="Keep the records of runs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing; say what would be.")] = False,
    archive: Archive = None,
) -> None:
    """Delete records and logs that were written so many days ago.

    The operator deletes nothing from its archive. A bucket has rules of its own for that; this is for volumes.

    Exit codes: 0 done, 2 wrong usage, 3 the archive cannot be used.
    """
    from fairlead.cli.archived import PruneRequest, prune

    request = PruneRequest(archive=archive, days=older_than_days, logs_only=logs_only, dry_run=dry_run)
    raise typer.Exit(prune(request))
