"""`fairlead archive get`: one run from the archive."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fairlead.cli.options import Archive, Name

__all__ = ["EXAMPLES", "RecordFormat", "archive_get"]

EXAMPLES = (
    "fairlead archive get nightly-2026-11-22 --archive file:///archive",
    "fairlead archive get nightly -n data -o yaml",
)


class RecordFormat(StrEnum):
    """The values of `--output`."""

    PRETTY = "pretty"
    YAML = "yaml"
    JSON = "json"


def archive_get(
    name: Name,
    namespace: Annotated[
        str | None, typer.Option("-n", "--namespace", help="Its namespace. Default: looked for in all of them.")
    ] = None,
    uid: Annotated[
        str | None, typer.Option("--uid", help="Of several runs of this name, this one. Default: the latest.")
    ] = None,
    archive: Archive = None,
    output: Annotated[
        RecordFormat,
        typer.Option("-o", "--output", help="`yaml` and `json` print the Workflow, with all its tasks in its status."),
    ] = RecordFormat.PRETTY,
) -> None:
    """Show a run that is in the archive as `fairlead tree` shows one on a cluster.

    Exit codes: 0 shown, 2 no such run in the archive, 3 the archive cannot be read.
    """
    from fairlead.cli.archived import GetRequest, show_run

    request = GetRequest(archive=archive, name=name, namespace=namespace or "", uid=uid or "", output=output)
    raise typer.Exit(show_run(request))
