"""`fairlead reject`: reject what waits for approval."""

from __future__ import annotations

import typer

from fairlead.cli.options import Context, Kubeconfig, Name, Namespace, Reason, Task, Timeout, Wait

__all__ = ["EXAMPLES", "reject"]

EXAMPLES = ("fairlead reject nightly sign-off --reason 'the figures are wrong'",)


def reject(
    name: Name,
    task: Task,
    reason: Reason = None,
    wait: Wait = False,
    timeout: Timeout = 30,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Reject what waits for approval, or for a callback: its task fails and is not tried again.

    Exit codes: 0 done, 1 refused (with --wait: or the run failed), 2 wrong usage, 3 no answer.
    """
    from fairlead.cli.asking import Question, ask
    from fairlead.engine.model import ActionKind

    question = Question(
        name=name,
        action=ActionKind.REJECT,
        fields={"tasks": [task]},
        reason=reason,
        wait=wait,
        timeout=timeout,
        namespace=namespace,
        kubeconfig=kubeconfig,
        context=context,
    )
    raise typer.Exit(ask(question))
