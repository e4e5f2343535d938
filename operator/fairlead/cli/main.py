"""The command line put together: `fairlead COMMAND`, or `kubectl fairlead COMMAND` when installed as a plug-in.

This module and those of the commands import nothing heavy, so that `--help` and completion answer at once; a test
watches over it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from fairlead.cli import (
    approve,
    archive_get,
    archive_list,
    archive_prune,
    clear,
    complete,
    doctor,
    explain,
    heartbeat,
    lint,
    logs,
    mark,
    operator,
    reject,
    release,
    resume,
    retry,
    run,
    stop,
    suspend,
    tree,
)
from fairlead.cli.exits import CliError, ExitCode

__all__ = ["COMMANDS", "app", "main", "program_name"]

app = typer.Typer(
    name="fairlead",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from fairlead import __version__

        typer.echo(f"fairlead {__version__}")
        raise typer.Exit


@app.callback()
def _fairlead(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Fairlead: data workflows on Kubernetes, and on this machine.

    Exit codes: 0 all is well, 1 a run or a check failed, 2 wrong usage or an invalid workflow, 3 no cluster within
    reach, 130 stopped by Ctrl-C.
    """


#: Commands that have commands of their own.
GROUPS = {
    "archive": "Look into the archive of finished runs, which the operator fills: `fairlead operator --archive URL`.",
}

#: The commands in the order of the help, each with its examples.
COMMANDS: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    "run": (run.run, run.EXAMPLES),
    "lint": (lint.lint, lint.EXAMPLES),
    "tree": (tree.tree, tree.EXAMPLES),
    "explain": (explain.explain, explain.EXAMPLES),
    "logs": (logs.logs, logs.EXAMPLES),
    "retry": (retry.retry, retry.EXAMPLES),
    "clear": (clear.clear, clear.EXAMPLES),
    "mark": (mark.mark, mark.EXAMPLES),
    "stop": (stop.stop, stop.EXAMPLES),
    "suspend": (suspend.suspend, suspend.EXAMPLES),
    "resume": (resume.resume, resume.EXAMPLES),
    "approve": (approve.approve, approve.EXAMPLES),
    "reject": (reject.reject, reject.EXAMPLES),
    "complete": (complete.complete, complete.EXAMPLES),
    "heartbeat": (heartbeat.heartbeat, heartbeat.EXAMPLES),
    "release": (release.release, release.EXAMPLES),
    "archive list": (archive_list.archive_list, archive_list.EXAMPLES),
    "archive get": (archive_get.archive_get, archive_get.EXAMPLES),
    "archive prune": (archive_prune.archive_prune, archive_prune.EXAMPLES),
    "doctor": (doctor.doctor, doctor.EXAMPLES),
    "operator": (operator.operator, operator.EXAMPLES),
}
_groups = {"": app}
for _group, _help in GROUPS.items():
    _groups[_group] = typer.Typer(help=_help, no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(_groups[_group], name=_group)
for _name, (_function, _examples) in COMMANDS.items():
    _group, _, _verb = _name.rpartition(" ")
    # \b: these lines stay as they are.
    _groups[_group].command(_verb, epilog="\n".join(["\b", "Examples:", *(f"  {line}" for line in _examples)]))(
        _function
    )


def program_name(argv0: str) -> str:
    """Return how the program was called: kubectl finds its plug-ins by the name of their file."""
    return "kubectl fairlead" if Path(argv0).name.startswith("kubectl-") else "fairlead"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    try:
        _run(argv)
    except SystemExit as leaving:
        if "obstore" in sys.modules:
            _end_at_once(leaving.code)
        raise


def _end_at_once(code: str | int | None) -> None:
    """Exit without Python's own end, in which a thread of obstore's that still asks for the GIL aborts the process.

    One of seven `fairlead archive list` ended by SIGABRT after it had told everything (Python 3.11, obstore 0.12).
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _run(argv: Sequence[str] | None) -> None:
    try:
        app(args=argv, prog_name=program_name(sys.argv[0]))
    except CliError as error:
        typer.echo(f"{typer.style('Error:', fg='red', bold=True)} {error.message}", err=True)
        if error.hint:
            typer.echo(f"  {error.hint}", err=True)
        sys.exit(error.code)
    except BrokenPipeError:
        # `fairlead tree … | head`: whoever reads has enough. Python would complain again when it flushes at exit.
        sys.stdout = None
        sys.exit(ExitCode.OK)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


if __name__ == "__main__":
    main()
