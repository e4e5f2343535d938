"""`fairlead doctor`: what is wrong with an installation, and a bundle of all that tells about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fairlead.cli.options import Context, Kubeconfig

__all__ = ["EXAMPLES", "doctor"]

EXAMPLES = (
    "fairlead doctor",
    "fairlead doctor --bundle fairlead.tar.gz",
    "fairlead doctor -n data --operator-namespace fairlead --bundle data.tar.gz",
)


def doctor(
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle", metavar="FILE", help="Pack what was read into this file, a .tar.gz, with values cut out."
        ),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("-n", "--namespace", help="Look at the runs of this one only. Default: of all.")
    ] = None,
    operator_namespace: Annotated[
        str | None,
        typer.Option("--operator-namespace", help="Where the operator is. Default: looked for in all of them."),
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Say what seems to be wrong with Fairlead on a cluster, and pack what was read for somebody who can help.

    It reads, and changes nothing: the CustomResourceDefinitions, the operator's objects, logs and metrics; and
    Workflows, templates, requests, shards, pods, Jobs and Events. What you may not read is left out and named. Values
    of users are cut out of a bundle (variables, commands, scripts, arguments, outputs, manifests, what containers have
    printed), and Secrets and ConfigMaps are not read; look through it all the same before you hand it on.

    Exit codes: 0 nothing seems wrong, 1 something does, 2 the file cannot be written, 3 no cluster within reach.
    """
    from fairlead.cli.diagnosis import Request, diagnose

    request = Request(
        bundle=bundle,
        namespace=namespace,
        operator_namespace=operator_namespace,
        kubeconfig=kubeconfig,
        context=context,
    )
    raise typer.Exit(diagnose(request))
