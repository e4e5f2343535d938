"""`fairlead resume`: let a suspended run go on."""

from __future__ import annotations

import typer

from fairlead.cli.options import Context, Kubeconfig, Name, Namespace, Timeout

__all__ = ["EXAMPLES", "resume"]

EXAMPLES = ("fairlead resume nightly",)


def resume(
    name: Name,
    timeout: Timeout = 30,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Let a suspended run go on.

    It sets `spec.suspend`, so it takes the right to edit the Workflow; under GitOps, set it where the Workflow is kept.

    Exit codes: 0 done, 1 it has finished or you may not, 2 no such Workflow, 3 no answer.
    """
    from fairlead.cli.suspending import Suspension, set_suspend

    change = Suspension(
        name=name,
        suspend=False,
        timeout=timeout,
        namespace=namespace,
        kubeconfig=kubeconfig,
        context=context,
    )
    raise typer.Exit(set_suspend(change))
