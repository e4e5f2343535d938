"""`fairlead clear`: run tasks of a finished run again, however they ended."""

from __future__ import annotations

import typer

from fairlead.cli.options import Context, Kubeconfig, Latest, Name, Namespace, Reason, Tasks, Timeout, Wait

__all__ = ["EXAMPLES", "clear"]

EXAMPLES = (
    "fairlead clear nightly load",
    "fairlead clear nightly load transform --wait",
)


def clear(
    name: Name,
    tasks: Tasks,
    latest: Latest = False,
    reason: Reason = None,
    wait: Wait = False,
    timeout: Timeout = 30,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Run tasks of a finished run again, and all that comes after them, however they ended.

    Exit codes: 0 done, 1 refused (with --wait: or the run failed), 2 wrong usage, 3 no answer.
    """
    from fairlead.cli.asking import Question, ask
    from fairlead.engine.model import ActionKind

    question = Question(
        name=name,
        action=ActionKind.CLEAR,
        fields={"tasks": tasks, "revision": "Latest" if latest else None},
        reason=reason,
        wait=wait,
        timeout=timeout,
        namespace=namespace,
        kubeconfig=kubeconfig,
        context=context,
    )
    raise typer.Exit(ask(question))
