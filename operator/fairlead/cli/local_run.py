"""What `fairlead run --local` does: read, check, run, show, sum up."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import uuid4

from rich.console import Console
from rich.text import Text

from fairlead.api.problems import InvalidSpec, Problem, Severity
from fairlead.cli.answers import answer_to
from fairlead.cli.arguments import split_assignments
from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.local_check import Given, Source, check
from fairlead.cli.progress import Progress, progress_on
from fairlead.cli.prompts import Prompter
from fairlead.cli.render.tree import ASCII, GLYPHS, output_lines, run_lines
from fairlead.cli.terminal import data, print_json, say, speaks_unicode
from fairlead.cli.view import RunView, TaskView, tasks_of_state, view_of_state
from fairlead.clock import utc_now
from fairlead.controllers.status import encode, invalid_status
from fairlead.engine.model import Phase, WorkKind
from fairlead.local.questions import Answer, Question, nobody
from fairlead.local.runner import LocalRun, Surroundings
from fairlead.local.sandbox import Sandbox, base_environment

__all__ = ["Request", "run_local"]

_LOGS_SHOWN = 10
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
    templates: Sequence[Path] = ()
    answers: Sequence[str] = ()
    as_json: bool = False


def run_local(request: Request) -> int:
    """Run a workflow to its end; returns the exit code. Raises :class:`CliError`."""
    source = Source.read(request.file, request.name, request.templates)
    passed, console = _passed_environment(request.env), say()
    prompter = Prompter(console, sys.stdin.fileno()) if _can_ask(request, console) else None
    given = Given(
        params=request.params,
        param_file=request.param_file,
        passed=passed,
        answers=request.answers,
        can_ask=prompter is not None,
    )
    try:
        compiled, answers, advice = check(source, given)
    except InvalidSpec as invalid:
        _show_problems(invalid.problems, request.file)
        if request.as_json:
            print_json(invalid_status(invalid.problems, generation=1, previous={}, now=utc_now()))
        return ExitCode.USAGE
    _show_problems(advice, request.file)
    if compiled.settings.suspend and not request.ignore_suspend:
        raise CliError(
            "spec.suspend is true: nothing would start, and nobody could resume it here",
            hint="--ignore-suspend runs it all the same",
        )
    limit = request.parallelism or compiled.settings.parallelism or os.cpu_count() or 1
    settings = replace(compiled.settings, suspend=False, parallelism=limit)
    with _workdir(request, compiled.name) as workdir:
        surroundings = Surroundings(
            base=base_environment(passed),
            answerer=partial(_answer, answers, prompter),
            find_template=source.find,
            on_ended=partial(_print_log, console) if request.logs else _leave_log,
        )
        run = LocalRun(compiled, settings=settings, uid=str(uuid4()), workdir=workdir.path, surroundings=surroundings)
        stopped_by = asyncio.run(_watched(run, console, prompter))
        outcome = run.state.outcome
        assert outcome is not None
        workdir.keep |= not outcome.succeeded or stopped_by is not None
        if request.as_json:
            print_json(encode(run.state, settings, generation=1, previous={}, now=utc_now()))
        else:
            _sum_up(run, workdir)
    if stopped_by is not None:
        return 128 + stopped_by
    return ExitCode.OK if outcome.succeeded else ExitCode.FAILED


def _can_ask(request: Request, console: Console) -> bool:
    """Tell whether somebody can be asked: sits at a terminal, and has not given us a file by it."""
    return str(request.file) != "-" and sys.stdin.isatty() and console.is_terminal


async def _answer(answers: Mapping[str, Answer], prompter: Prompter | None, question: Question) -> Answer:
    """Answer by what was given on the command line, else ask."""
    if (given := answer_to(question, answers)) is not None:
        return given
    return await (nobody(question) if prompter is None or question.kind is WorkKind.WAIT else prompter.ask(question))


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


async def _watched(run: LocalRun, console: Console, prompter: Prompter | None) -> int | None:
    """Run to the end, showing how it gets on. Returns the signal that stopped it, or None."""
    changed: dict[str, None] = dict.fromkeys(run.state.nodes)

    def changes() -> Iterable[TaskView]:
        found = tasks_of_state(run.state, run.settings, changed)
        changed.clear()
        return found

    def on_change(names: Collection[str]) -> None:
        changed.update(dict.fromkeys(names))
        progress.changed()

    progress = progress_on(console, lambda: view_of_state(run.state, run.settings), changes)
    run.on_change = on_change
    if prompter is not None:
        prompter.paused, prompter.ended = progress.paused, run.stop
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
        then = ", then `finally` runs" if run.graph.final else ""
        progress.note(f"stopping: running tasks are asked to end{then}; once more ends all at once")

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield received
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def _print_log(console: Console, label: str, sandbox: Sandbox) -> None:
    """Print the log of an attempt that has ended, each line with the name of its task."""
    for line in sandbox.read_log().splitlines():
        console.print(Text.assemble((f"{label} | ", "cyan"), line), soft_wrap=True)


def _leave_log(_label: str, _sandbox: Sandbox) -> None:
    pass


def _sum_up(run: LocalRun, workdir: _Workdir) -> None:
    """Print the run as it ended, its results, and where to look further."""
    console = data()
    view = view_of_state(run.state, run.settings)
    if run.stopped:
        view = replace(view, phase="Stopped", message=_stopped(view))
    glyphs = GLYPHS if speaks_unicode(console) else ASCII
    for line in run_lines(view, utc_now(), glyphs=glyphs):
        console.print(line, soft_wrap=True)
    if view.outputs:
        console.print(Text("outputs:", "bold"))
        for line in output_lines(view):
            console.print(line, soft_wrap=True)
    failed = list(run.logs_of_failures())
    if failed and workdir.keep:
        console.print(Text("logs of what failed:", "bold"))
        for log in failed[:_LOGS_SHOWN]:
            console.print(Text(f"  {log}"), soft_wrap=True)
        if len(failed) > _LOGS_SHOWN:
            console.print(Text(f"  and {len(failed) - _LOGS_SHOWN} more"), soft_wrap=True)
    if workdir.keep:
        console.print(Text.assemble(("working directories: ", "bold"), str(workdir.path)), soft_wrap=True)


def _stopped(view: RunView) -> str:
    never = sum(task.phase is Phase.CANCELLED and task.started_at is None for task in view.whole)
    return "stopped before its end" + (f"; {never} tasks were never started" if never else "")
