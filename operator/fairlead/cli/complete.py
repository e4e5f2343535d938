"""`fairlead complete`: answer for a wait with a callback."""

from __future__ import annotations

from typing import Annotated

import typer

from fairlead.cli.options import Context, Kubeconfig, Name, Namespace, Reason, Task, Timeout, Values, Wait

__all__ = ["EXAMPLES", "complete"]

EXAMPLES = (
    "fairlead complete nightly ingest -v rows=120",
    "fairlead complete nightly ingest --token $TOKEN -v rows=120",
)


def complete(
    name: Name,
    task: Task,
    token: Annotated[
        str | None,
        typer.Option("--token", help="The attempt that has been completed. Default: the one that waits now."),
    ] = None,
    value: Values = None,
    reason: Reason = None,
    wait: Wait = False,
    timeout: Timeout = 30,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Answer for a `wait` task with a callback: what it waited for is done.

    Values are its outputs.

    Exit codes: 0 done, 1 refused (with --wait: or the run failed), 2 wrong usage, 3 no answer.
    """
    from fairlead.cli.asking import Question, ask
    from fairlead.cli.declared import outputs_of, token_of
    from fairlead.engine.model import ActionKind

    question = Question(
        name=name,
        action=ActionKind.COMPLETE,
        fields={"tasks": [task]},
        found=lambda workflow: {
            "token": token or token_of(workflow, task),
            **outputs_of(workflow, task, value or ()),
        },
        reason=reason,
        wait=wait,
        timeout=timeout,
        namespace=namespace,
        kubeconfig=kubeconfig,
        context=context,
    )
    raise typer.Exit(ask(question))
