"""`fairlead tree`: the tasks of a run on a cluster."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fairlead.cli.options import Context, Kubeconfig, Name, Namespace

__all__ = ["EXAMPLES", "Format", "tree"]

EXAMPLES = (
    "fairlead tree hello",
    "fairlead tree nycflights --watch",
    "fairlead tree nightly -n data --watch -E && echo done",
)


class Format(StrEnum):
    """The values of `--output`."""

    PRETTY = "pretty"
    JSON = "json"


def tree(
    name: Name,
    namespace: Namespace = None,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Follow the run until it ends.")] = False,
    exit_code: Annotated[
        bool, typer.Option("-E", "--exit-code", help="Exit with 1 if the run has failed (with --watch: fails).")
    ] = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    output: Annotated[
        Format, typer.Option("-o", "--output", help="`json` prints the status as it is.")
    ] = Format.PRETTY,
) -> None:
    """Show the tasks of a run on a cluster.

    They are drawn layer by layer: where each stands, for how long, and why. Tasks held by a bracket may run side by
    side; each comes after the layer above it, or after what follows the arrow. A number such as ×3 counts attempts.

    Ctrl-C while watching leaves the run alone.

    Exit codes: 0 shown (with -E: succeeded), 1 with -E: failed, 2 no such Workflow, 3 no cluster within reach, 130
    stopped by Ctrl-C.
    """
    from fairlead.cli.cluster_tree import Request, show_tree

    request = Request(
        name=name,
        namespace=namespace,
        watch=watch,
        exit_code=exit_code,
        kubeconfig=kubeconfig,
        context=context,
        as_json=output is Format.JSON,
    )
    raise typer.Exit(show_tree(request))
