"""`fairlead lint`: check workflows without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fairlead.cli.output import LintFormat

__all__ = ["EXAMPLES", "lint"]

EXAMPLES = (
    "fairlead lint workflow.yaml",
    "fairlead lint flows/ -o json",
    "helm template ./chart | fairlead lint -",
)


def lint(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="YAML files, directories to search for them, or `-` for standard input."),
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Warnings, too, make it fail.")] = False,
    output: Annotated[
        LintFormat,
        typer.Option("-o", "--output", help="`simple` is one line for each problem, `json` is for programs."),
    ] = LintFormat.PRETTY,
) -> None:
    """Check workflow files without a cluster.

    Fields, types, names, expressions, cycles: problems are told together, each with its place. It is the very check
    that the operator makes before a run, and needs no cluster. Documents of other kinds are skipped and counted.

    Exit codes: 0 no errors, 1 errors, 2 a file cannot be read.
    """
    from fairlead.cli.lint_files import lint_paths

    raise typer.Exit(lint_paths(paths, output=output, strict=strict))
