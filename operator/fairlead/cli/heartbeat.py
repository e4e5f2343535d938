"""`fairlead heartbeat`: say that what a callback waits for is still being done."""

from __future__ import annotations

from typing import Annotated

import typer

from fairlead.cli.options import Context, Kubeconfig, Name, Namespace, Reason, Task, Timeout

__all__ = ["EXAMPLES", "heartbeat"]

EXAMPLES = (
    "fairlead heartbeat nightly ingest",
    "fairlead heartbeat nightly ingest --token $TOKEN",
)


def heartbeat(
    name: Name,
    task: Task,
    token: Annotated[
        str | None,
        typer.Option("--token", help="The attempt that is being worked on. Default: the one that waits now."),
    ] = None,
    reason: Reason = None,
    timeout: Timeout = 30,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Say that a `wait` task with a callback is still being worked on.

    The time of its `heartbeatSeconds` begins anew.

    Exit codes: 0 done, 1 refused, 2 wrong usage, 3 no answer.
    """
    from fairlead.cli.asking import Question, ask
    from fairlead.cli.declared import token_of
    from fairlead.engine.model import ActionKind

    question = Question(
        name=name,
        action=ActionKind.HEARTBEAT,
        fields={"tasks": [task]},
        found=lambda workflow: {"token": token or token_of(workflow, task)},
        reason=reason,
        timeout=timeout,
        namespace=namespace,
        kubeconfig=kubeconfig,
        context=context,
    )
    raise typer.Exit(ask(question))
