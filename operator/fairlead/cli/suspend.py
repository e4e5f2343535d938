"""`fairlead suspend`: start nothing new of a run."""

from __future__ import annotations

import typer

from fairlead.cli.options import Context, Kubeconfig, Name, Namespace, Timeout

__all__ = ["EXAMPLES", "suspend"]

EXAMPLES = ("fairlead suspend nightly",)


def suspend(
    name: Name,
    timeout: Timeout = 30,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Start nothing new of a run; tasks that run go on.

    It sets `spec.suspend`, so it takes the right to edit the Workflow; under GitOps, set it where the Workflow is kept.

    Exit codes: 0 done, 1 it has finished or you may not, 2 no such Workflow, 3 no answer.
    """
    from fairlead.cli.suspending import Suspension, set_suspend

    change = Suspension(
        name=name,
        suspend=True,
        timeout=timeout,
        namespace=namespace,
        kubeconfig=kubeconfig,
        context=context,
    )
    raise typer.Exit(set_suspend(change))
