"""`fairlead run`: run a workflow from a file, on this machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["EXAMPLES", "Format", "run"]

EXAMPLES = (
    "fairlead run examples/hello.yaml --local",
    'fairlead run flow.yaml --local -p day=2026-01-31 -p \'regions=["eu","us"]\'',
    "fairlead run flow.yaml --local -f params.yaml --logs --workdir ./work",
    "fairlead run flow.yaml --local --templates templates/ --answer sign-off=Approve --answer sign-off.percent=10",
)


class Format(StrEnum):
    """The values of `--output`."""

    PRETTY = "pretty"
    JSON = "json"


def run(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A YAML file with a Workflow; `-` reads standard input.")
    ],
    local: Annotated[
        bool, typer.Option("--local", help="Run on this machine, without a cluster: tasks are processes here.")
    ] = False,
    param: Annotated[
        list[str] | None,
        typer.Option("-p", "--param", metavar="NAME=VALUE", help="Value of a parameter; JSON unless it is a string."),
    ] = None,
    param_file: Annotated[
        Path | None,
        typer.Option("-f", "--param-file", metavar="FILE", help="Values of parameters, as a YAML mapping."),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("-e", "--env", metavar="NAME[=VALUE]", help="A variable for every task; without a value: yours."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Which Workflow, if the file has several.", show_default=False)
    ] = None,
    parallelism: Annotated[
        int | None,
        typer.Option("--parallelism", min=1, help="Tasks at once. Default: spec.parallelism, else the number of CPUs."),
    ] = None,
    workdir: Annotated[
        Path | None,
        typer.Option("--workdir", metavar="DIR", help="Where tasks work and leave their logs; kept. Must be empty."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the working directories of a run that succeeded.")] = False,
    logs: Annotated[bool, typer.Option("--logs", help="Print what each attempt wrote, once it has ended.")] = False,
    ignore_suspend: Annotated[
        bool, typer.Option("--ignore-suspend", help="Run even though spec.suspend is true.")
    ] = False,
    templates: Annotated[
        list[Path] | None,
        typer.Option(
            "--templates", metavar="FILE", help="A YAML file, or a directory, with WorkflowTemplates that it runs."
        ),
    ] = None,
    answer: Annotated[
        list[str] | None,
        typer.Option(
            "--answer",
            metavar="TASK=ANSWER",
            help="To an approval: Approve, Reject or an option; to a callback: its outputs as JSON. TASK.FIELD=VALUE "
            "gives one value.",
        ),
    ] = None,
    output: Annotated[
        Format, typer.Option("-o", "--output", help="`json` prints the status as the operator would write it.")
    ] = Format.PRETTY,
) -> None:
    """Run a workflow on this machine, without a cluster.

    It is the operator's own engine; every task is a process with a working directory of its own; images are not used.
    The PATH begins with the Python that runs fairlead, so `python3` has the packages installed next to it. Tasks have
    your rights.

    Approvals are asked for on the terminal, unless --answer decides them. Templates are found in the same file, and
    where --templates says.

    Ctrl-C asks what runs to end, runs `finally` and prints a summary; a second one ends all at once.

    Exit codes: 0 succeeded, 1 failed, 2 the workflow or the command is wrong, 130 stopped by Ctrl-C.
    """
    from fairlead.cli.exits import CliError
    from fairlead.cli.local_run import Request, run_local

    if not local:
        raise CliError("only --local runs are made here", hint=f"for a run on a cluster: kubectl apply -f {file}")
    request = Request(
        file=file,
        params=param or [],
        param_file=param_file,
        env=env or [],
        name=name,
        parallelism=parallelism,
        workdir=workdir,
        keep=keep,
        logs=logs,
        ignore_suspend=ignore_suspend,
        templates=templates or [],
        answers=answer or [],
        as_json=output is Format.JSON,
    )
    raise typer.Exit(run_local(request))
