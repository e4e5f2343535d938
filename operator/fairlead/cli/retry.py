"""`fairlead retry`: run again what failed in a finished run."""

from __future__ import annotations

from typing import Annotated

import typer

from fairlead.cli.options import Context, Kubeconfig, Latest, Name, Namespace, Reason, Timeout, Wait

__all__ = ["EXAMPLES", "retry"]

EXAMPLES = (
    "fairlead retry nightly",
    "fairlead retry nightly load 'extract[3]' --reason 'the source was late' --wait",
)


def retry(
    name: Name,
    tasks: Annotated[
        list[str] | None,
        typer.Argument(metavar="TASK", help="Only these tasks, or items (`load[3]`), and what comes after them."),
    ] = None,
    latest: Latest = False,
    reason: Reason = None,
    wait: Wait = False,
    timeout: Timeout = 30,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Run again what failed in a finished run.

    Failed tasks, and those that were cancelled or did not run because of others, run again, with what comes after them.
    Tasks that succeeded stay as they are. It is the same run, in its next epoch; earlier attempts stay on record.

    Exit codes: 0 done, 1 refused (with --wait: or the run failed), 2 wrong usage, 3 no answer.
    """
    from fairlead.cli.asking import Question, ask
    from fairlead.engine.model import ActionKind

    question = Question(
        name=name,
        action=ActionKind.RETRY,
        fields={"tasks": tasks or None, "revision": "Latest" if latest else None},
        reason=reason,
        wait=wait,
        timeout=timeout,
        namespace=namespace,
        kubeconfig=kubeconfig,
        context=context,
    )
    raise typer.Exit(ask(question))
