"""`fairlead explain`: why the tasks of a run on a cluster do not run."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fairlead.cli.options import Context, Kubeconfig, Name, Namespace

__all__ = ["EXAMPLES", "Format", "explain"]

EXAMPLES = (
    "fairlead explain nightly",
    "fairlead explain nightly publish",
)


class Format(StrEnum):
    """The values of `--output`."""

    PRETTY = "pretty"
    JSON = "json"


def explain(
    name: Name,
    task: Annotated[
        str | None, typer.Argument(metavar="TASK", help="Only this one, with the whole chain of what it waits for.")
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    output: Annotated[Format, typer.Option("-o", "--output", help="`json` is for programs.")] = Format.PRETTY,
) -> None:
    """Say why the tasks of a run do not run, down to the root causes.

    A line for each task that waits, stands still or has failed: its reason, or what it waits for and, behind the arrow,
    what that is held up by in the end. Those with a reason of their own come first.

    Exit codes: 0 explained, 2 no such Workflow or task, 3 no cluster within reach.
    """
    from fairlead.cli.explaining import Request, explain_run

    request = Request(
        name=name,
        task=task,
        namespace=namespace,
        kubeconfig=kubeconfig,
        context=context,
        as_json=output is Format.JSON,
    )
    raise typer.Exit(explain_run(request))
