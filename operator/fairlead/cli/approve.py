"""`fairlead approve`: approve what waits for approval."""

from __future__ import annotations

from typing import Annotated

import typer

from fairlead.cli.options import Context, Kubeconfig, Name, Namespace, Reason, Task, Timeout, Values, Wait

__all__ = ["EXAMPLES", "approve"]

EXAMPLES = (
    "fairlead approve nightly sign-off",
    "fairlead approve nightly sign-off --option canary -v percent=10 --reason 'checked'",
)


def approve(
    name: Name,
    task: Task,
    option: Annotated[str | None, typer.Option("--option", help="One of its options. Default: the first.")] = None,
    value: Values = None,
    reason: Reason = None,
    wait: Wait = False,
    timeout: Timeout = 30,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Approve what waits for approval: an `approval` task.

    Values are those of its form.

    Exit codes: 0 done, 1 refused (with --wait: or the run failed), 2 wrong usage, 3 no answer.
    """
    from fairlead.cli.asking import Question, ask
    from fairlead.cli.declared import answers_of
    from fairlead.engine.model import ActionKind

    question = Question(
        name=name,
        action=ActionKind.APPROVE,
        fields={"tasks": [task]},
        found=lambda workflow: answers_of(workflow, task, value or (), option),
        reason=reason,
        wait=wait,
        timeout=timeout,
        namespace=namespace,
        kubeconfig=kubeconfig,
        context=context,
    )
    raise typer.Exit(ask(question))
