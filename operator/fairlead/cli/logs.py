"""`fairlead logs`: what the attempts of a run have printed, also when their pods are gone."""

from __future__ import annotations

from typing import Annotated

import typer

from fairlead.cli.options import Archive, Context, Kubeconfig, Name, Namespace

__all__ = ["EXAMPLES", "logs"]

EXAMPLES = (
    "fairlead logs nightly",
    "fairlead logs nightly load --tail 50",
    "fairlead logs nightly 'load[3]' --attempt 1",
    "fairlead logs nightly --failed --archive s3://acme-fairlead/prod",
)


def logs(
    name: Name,
    task: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK", help="Only this task, with all of its items, or this item of one: `load[3]`. Default: all."
        ),
    ] = None,
    attempt: Annotated[
        int | None, typer.Option("-a", "--attempt", min=1, metavar="NUMBER", help="Which one. Default: the last.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only tasks that have failed.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", min=0, metavar="LINES", help="So many lines from the end. Default: all.")
    ] = None,
    namespace: Namespace = None,
    archive: Archive = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Print what the main containers of a run's attempts have logged.

    It is read from the pod while that is there, and else from the archive, if the operator keeps logs in it
    (`--keep-logs`), which has the end of each. A run that is not there any more is looked for in the archive, too.
    Where there are several logs, each has a line of its own above it. To follow a pod: kubectl logs -f POD.

    Exit codes: 0 printed, 1 none of the logs is to be had, 2 no such Workflow, task or attempt, 3 no cluster within
    reach, and the run is not in the archive either.
    """
    from fairlead.cli.logs_of_run import Request, print_logs

    request = Request(
        name=name,
        task=task,
        attempt=attempt,
        failed=failed,
        tail=tail,
        namespace=namespace,
        archive=archive,
        kubeconfig=kubeconfig,
        context=context,
    )
    raise typer.Exit(print_logs(request))
