"""Arguments and options that several commands share, so that they are called and described the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Archive",
    "Context",
    "Kubeconfig",
    "Latest",
    "Name",
    "Namespace",
    "Reason",
    "Task",
    "Tasks",
    "Timeout",
    "Values",
    "Wait",
]

Archive = Annotated[
    str | None,
    typer.Option(
        "--archive",
        metavar="URL",
        envvar="FAIRLEAD_ARCHIVE",
        help="The operator's archive: file:///DIRECTORY, s3://BUCKET/FOLDER, gs://… or az://…; credentials come from "
        "the environment. Default: $FAIRLEAD_ARCHIVE.",
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the Workflow.")]
Task = Annotated[str, typer.Argument(metavar="TASK", help="A task, or an item of a `forEach` task: `load[3]`.")]
Tasks = Annotated[list[str], typer.Argument(metavar="TASK", help="Tasks, or items of `forEach` tasks: `load[3]`.")]
Namespace = Annotated[
    str | None,
    typer.Option("-n", "--namespace", help="Its namespace. Default: that of the kubeconfig's context."),
]
Kubeconfig = Annotated[
    Path | None, typer.Option("--kubeconfig", metavar="FILE", help="Default: $KUBECONFIG, else ~/.kube/config.")
]
Context = Annotated[
    str | None, typer.Option("--context", help="A context of the kubeconfig. Default: its current one.")
]
Latest = Annotated[
    bool,
    typer.Option("--latest", help="By the present definition of its template, not by the one that it began with."),
]
Reason = Annotated[str | None, typer.Option("-r", "--reason", help="Why, for people and the record.")]
Timeout = Annotated[
    int,
    typer.Option("--timeout", min=1, metavar="SECONDS", help="How long to wait for the operator's answer."),
]
Wait = Annotated[bool, typer.Option("-w", "--wait", help="Follow the run until it ends; its outcome is the exit code.")]
Values = Annotated[
    list[str] | None,
    typer.Option("-v", "--value", metavar="NAME=VALUE", help="A value; JSON unless it is declared a string."),
]
