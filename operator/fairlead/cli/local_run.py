"""What `fairlead run --local` does: read, check, run, show, sum up."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.text import Text

from fairlead.api.compile import Compiled, compile_workflow
from fairlead.api.lint import Templates
from fairlead.api.problems import InvalidSpec, Problem, Severity
from fairlead.api.resolution import merge_definition
from fairlead.cli.arguments import split_assignments, with_arguments
from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.progress import Progress, progress_on
from fairlead.cli.render.tree import ASCII, GLYPHS, output_lines, run_lines
from fairlead.cli.source import load_yaml, pick_workflow, read_text
from fairlead.cli.terminal import data, print_json, say, speaks_unicode
from fairlead.cli.view import RunView, view_of_state
from fairlead.controllers.status import encode, invalid_status
from fairlead.engine.model import TERMINAL, Phase
from fairlead.expr.cel import CelEvaluator
from fairlead.local.refusals import find_refusals
from fairlead.local.runner import LocalRun
from fairlead.local.sandbox import base_environment

__all__ = ["Request", "run_local"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line; see `run.py`."""

    file: Path
    params: Sequence[str] = ()
    param_file: Path | None = None
    env: Sequence[str] = ()
    name: str | None = None
    parallelism: int | None = None
    workdir: Path | None = None
    keep: bool = False
    logs: bool = False
    ignore_suspend: bool = False
    as_json: bool = False


def run_local(request: Request) -> int:
    """Run a workflow to its end; returns the exit code. Raises :class:`CliError`."""
    documents = load_yaml(read_text(request.file), request.file)
    workflow = pick_workflow(documents, request.file, request.name)
    passed = _passed_environment(request.env)
    try:
        compiled = _compiled(workflow, Templates(documents), request, passed)
    except InvalidSpec as invalid:
        _show_problems(invalid.problems, request.file)
        if request.as_json:
            print_json(invalid_status(invalid.problems, generation=1, previous={}, now=datetime.now(UTC)))
        return ExitCode.USAGE
    if compiled.settings.suspend and not request.ignore_suspend:
        raise CliError(
            "spec.suspend is true: nothing would start, and nobody could resume it here",
            hint="--ignore-suspend runs it all the same",
        )
    limit = request.parallelism or compiled.settings.parallelism or os.cpu_count() or 1
    settings = replace(compiled.settings, suspend=False, parallelism=limit)
    with _workdir(request, compiled.name) as workdir:
        run = LocalRun(
            compiled, settings=settings, uid=str(uuid4()), workdir=workdir.path, base=base_environment(passed)
        )
        stopped_by = asyncio.run(_watched(run, request))
        outcome = run.state.outcome
        assert outcome is not None
        workdir.keep |= not outcome.succeeded or stopped_by is not None
        if request.as_json:
            print_json(encode(run.state, settings, generation=1, previous={}, now=datetime.now(UTC)))
        else:
            _sum_up(run, workdir)
    if stopped_by is not None:
        return 128 + stopped_by
    return ExitCode.OK if outcome.succeeded else ExitCode.FAILED


def _compiled(
    workflow: Mapping[str, Any], templates: Templates, request: Request, passed: Mapping[str, str]
) -> Compiled:
    """Check everything there is to check. Raises :class:`InvalidSpec` and :class:`CliError`.

    The template that the Workflow names, if it does, must stand in the same file.
    """
    spec = workflow.get("spec")
    if not isinstance(spec, dict):
        raise InvalidSpec([Problem("spec", "must be an object")])
    metadata = workflow.get("metadata") or {}
    name = metadata.get("name") or f"{metadata.get('generateName') or request.file.stem}{secrets.token_hex(3)}"
    definition = templates.of(workflow)
    whole = spec if definition is None else merge_definition(spec, definition)
    texts = split_assignments(request.params, "-p")
    from_file = _param_file(request.param_file)
    if texts or from_file:
        spec = {**spec, "arguments": with_arguments(whole, from_file, texts)["arguments"]}
    namespace = metadata.get("namespace") or "default"
    compiled = compile_workflow(spec, evaluator=CelEvaluator(), name=name, namespace=namespace, definition=definition)
    problems = [*compiled.warnings, *find_refusals(whole, passed)]
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise InvalidSpec(problems)
    _show_problems(problems, request.file)
    return compiled


def _param_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    documents = load_yaml(read_text(path), path) or [{}]
    if len(documents) > 1 or not isinstance(documents[0], dict):
        raise CliError(f"{path} must be one mapping of parameters to values")
    return documents[0]


def _passed_environment(given: Iterable[str]) -> dict[str, str]:
    """Return the variables of `--env`. One without a value is passed on from our own environment."""
    complete = []
    for each in given:
        if "=" not in each and each not in os.environ:
            raise CliError(f"--env {each}: there is no such variable to pass on; write {each}=VALUE")
        complete.append(each if "=" in each else f"{each}={os.environ[each]}")
    return split_assignments(complete, "--env")


def _show_problems(problems: Sequence[Problem], file: Path) -> None:
    """Print problems to standard error; a warning that stands in many places is printed once, with their number."""
    console = say()
    places: dict[str, list[Problem]] = {}
    for problem in problems:
        once = problem.severity is Severity.WARNING
        places.setdefault(problem.message if once else str(problem), []).append(problem)
    for group in places.values():
        first, more = group[0], len(group) - 1
        is_error = first.severity is Severity.ERROR
        label = ("Error: ", "bold red") if is_error else ("Warning: ", "yellow")
        console.print(
            Text.assemble(label, f"{file}: {first}", (f" (and in {more} more places)" if more else "", "dim")),
            soft_wrap=True,
        )


@dataclass(slots=True)
class _Workdir:
    path: Path
    keep: bool


@contextmanager
def _workdir(request: Request, name: str) -> Iterator[_Workdir]:
    """Yield the directory of a run; a temporary one goes away with a run that succeeded."""
    if request.workdir is not None:
        path = request.workdir.absolute()
        try:
            path.mkdir(parents=True, exist_ok=True)
            occupied = any(path.iterdir())
        except OSError as error:
            raise CliError(f"--workdir {request.workdir}: {error}") from error
        if occupied:
            raise CliError(f"--workdir {request.workdir} is not empty", hint="name another, or remove it first")
        yield _Workdir(path, keep=True)
        return
    made = _Workdir(Path(tempfile.mkdtemp(prefix=f"fairlead-{name}-")), keep=request.keep)
    try:
        yield made
    except BaseException:
        made.keep = True
        raise
    finally:
        if not made.keep:
            shutil.rmtree(made.path, ignore_errors=True)


async def _watched(run: LocalRun, request: Request) -> int | None:
    """Run to the end, showing how it gets on. Returns the signal that stopped it, or None."""
    console = say()
    progress = progress_on(console, lambda: view_of_state(run.state, run.settings))
    logs = _LogPrinter(run, console) if request.logs else None

    def on_change() -> None:
        if logs is not None:
            logs.print_ended()
        progress.changed()

    run.on_change = on_change
    with _stopping_on_signals(run, progress) as received:
        async with progress:
            await run.execute()
    return received[0] if received else None


@contextmanager
def _stopping_on_signals(run: LocalRun, progress: Progress) -> Iterator[list[int]]:
    """Yield the list of signals that have arrived: the first stops the run, any further one hurries it."""
    received: list[int] = []

    def on_signal(number: int) -> None:
        received.append(number)
        if len(received) > 1:
            run.kill()
            return
        run.stop()
        progress.note("stopping: running tasks are asked to end; once more ends them at once")

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield received
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


class _LogPrinter:
    """Prints the log of each attempt once it has ended, each line with the name of its task."""

    def __init__(self, run: LocalRun, console: Console) -> None:
        self._run = run
        self._console = console
        self._printed: set[tuple[str, int]] = set()

    def print_ended(self) -> None:
        """Print what has not been printed yet."""
        for name, state in self._run.state.nodes.items():
            for attempt in state.attempts:
                if attempt.finished_at is None or (name, attempt.number) in self._printed:
                    continue
                self._printed.add((name, attempt.number))
                label = name if attempt.number == 1 else f"{name} #{attempt.number}"
                for line in self._run.sandbox(name, attempt.number).read_log().splitlines():
                    self._console.print(Text.assemble((f"{label} | ", "cyan"), line), soft_wrap=True)


def _sum_up(run: LocalRun, workdir: _Workdir) -> None:
    """Print the run as it ended, its results, and where to look further."""
    console = data()
    view = view_of_state(run.state, run.settings)
    if run.stopped:
        view = replace(view, phase="Stopped", message=_stopped(view))
    glyphs = GLYPHS if speaks_unicode(console) else ASCII
    for line in run_lines(view, datetime.now(UTC), glyphs=glyphs):
        console.print(line, soft_wrap=True)
    if view.outputs:
        console.print(Text("outputs:", "bold"))
        for line in output_lines(view):
            console.print(line, soft_wrap=True)
    failed = [task for task in view.tasks if task.phase is Phase.FAILED and task.attempts]
    if failed:
        console.print(Text("logs of what failed:", "bold"))
        for task in failed:
            console.print(Text(f"  {run.sandbox(task.name, task.attempts).log}"), soft_wrap=True)
    if workdir.keep:
        console.print(Text.assemble(("working directories: ", "bold"), str(workdir.path)), soft_wrap=True)


def _stopped(view: RunView) -> str:
    never = sum(task.phase in TERMINAL and not task.attempts for task in view.tasks)
    return "stopped before its end" + (f"; {never} tasks were never started" if never else "")
