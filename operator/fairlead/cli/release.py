"""`fairlead release`: take the operator's finalizer off what it holds, where there is no operator any more."""

from __future__ import annotations

from typing import Annotated

import typer

from fairlead.cli.options import Context, Kubeconfig

__all__ = ["EXAMPLES", "release"]

EXAMPLES = (
    "fairlead release --all-namespaces",
    "fairlead release -n team-a -n team-b",
)


def release(
    namespaces: Annotated[
        list[str] | None,
        typer.Option("-n", "--namespace", metavar="NAMESPACE", help="Where. May be given several times."),
    ] = None,
    all_namespaces: Annotated[bool, typer.Option("-A", "--all-namespaces", help="Everywhere.")] = False,
    quiet_seconds: Annotated[
        int,
        typer.Option(
            "--quiet-seconds",
            min=0,
            help="End only after nothing more has been found for so long: an operator that is ending may still create "
            "something.",
        ),
    ] = 0,
    lease_namespace: Annotated[
        str | None,
        typer.Option(
            "--lease-namespace",
            metavar="NAMESPACE",
            help="Delete the Leases there by which its replicas have divided the runs.",
        ),
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Let go of all pods, Jobs and status shards of runs, so that they can be deleted without an operator.

    For a cluster whose operator is gone: `helm uninstall` does it by itself. Nothing that is a run's is deleted. With
    an operator at work, the outcome of a pod that is deleted before it is recorded would be lost.

    Exit codes: 0 done, 1 you may not, 2 neither a namespace nor --all-namespaces, 3 no answer.
    """
    if bool(namespaces) is all_namespaces:
        raise typer.BadParameter("name namespaces with -n, or all of them with -A", param_hint="--namespace")
    from fairlead.cli.releasing import Release, release_everything

    wanted = Release(
        namespaces=tuple(namespaces or ()),
        quiet_seconds=quiet_seconds,
        lease_namespace=lease_namespace,
        kubeconfig=kubeconfig,
        context=context,
    )
    raise typer.Exit(release_everything(wanted))
