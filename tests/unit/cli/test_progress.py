"""A run that is watched: a picture on a terminal, lines elsewhere."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from fairlead.cli import progress
from fairlead.cli.progress import LinePrinter, LiveTree, progress_on
from fairlead.cli.view import ItemCounts, RunView, TaskView
from fairlead.engine.model import Phase

T0 = datetime(2026, 1, 1, tzinfo=UTC)
RUN = RunView(name="demo", phase="Running", started_at=T0, tasks=(TaskView(name="a", phase=Phase.RUNNING, attempts=1),))


def _terminal(**options: object) -> Console:
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    return Console(file=file, force_terminal=True, width=60, height=8, **options)  # type: ignore[arg-type]


def _written(console: Console) -> str:
    console.file.flush()
    return console.file.buffer.getvalue().decode()  # type: ignore[attr-defined,no-any-return]


def test_a_picture_needs_a_screen_to_redraw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    assert isinstance(progress_on(_terminal(), lambda: RUN), LiveTree)
    assert isinstance(progress_on(Console(file=io.StringIO()), lambda: RUN), LinePrinter)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress_on(_terminal(), lambda: RUN), LinePrinter)


async def test_the_picture_is_redrawn_by_the_clock_and_not_by_the_events(monkeypatch: pytest.MonkeyPatch) -> None:
    assert progress._REDRAW_SECONDS == 0.25
    monkeypatch.setattr(progress, "_REDRAW_SECONDS", 0.02)
    console, drawn = _terminal(), 0

    def view() -> RunView:
        nonlocal drawn
        drawn += 1
        return RUN

    async with LiveTree(console, view) as shown:
        for _ in range(1000):
            shown.changed()
        await asyncio.sleep(0.05)
        shown.note("said in between")
    assert 1 <= drawn <= 4
    assert "demo" in _written(console)
    assert "said in between" in _written(console)


async def test_no_line_of_the_picture_is_wider_than_the_terminal() -> None:
    console = _terminal(color_system=None)
    wide = replace(RUN, tasks=(TaskView(name="x" * 30, phase=Phase.QUEUED, reason="Waiting", message="y" * 200),))
    async with LiveTree(console, lambda: wide):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert all(len(line) < 80 for line in _written(console).replace("\x1b", "\n").splitlines())
    assert "…" in _written(console)


def test_no_color_means_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    from fairlead.cli.terminal import say

    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, as far as rich is concerned
    assert say().no_color


async def test_lines_tell_each_event_once() -> None:
    console = Console(file=io.StringIO(), width=10_000)
    steps = [
        TaskView(name="a", phase=Phase.WAITING),
        TaskView(name="a", phase=Phase.QUEUED),
        TaskView(name="a", phase=Phase.STARTING),
        TaskView(name="a", phase=Phase.RUNNING, attempts=1),
        TaskView(name="a", phase=Phase.RUNNING, attempts=1),
        TaskView(name="a", phase=Phase.BACKOFF, attempts=1, retried=("exit code 1: Traceback\n  File\nKeyError: 'x'",)),
        TaskView(name="a", phase=Phase.STARTING, attempts=1, retried=("1: KeyError",)),
        TaskView(name="a", phase=Phase.RUNNING, attempts=3, retried=("1: KeyError", "2: OSError")),
        TaskView(name="a", phase=Phase.FAILED, attempts=3, retried=("1", "2"), reason="ExitCode", message="exit 9"),
    ]
    left = iter(steps)
    async with LinePrinter(console, lambda: (next(left, steps[-1]),)) as shown:
        for _ in steps:
            shown.changed()
    told = [line.split("  ", 1)[1] for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert told == [
        "a: started",
        "a: attempt 1 failed: … KeyError: 'x'",
        "a: attempt 2 failed: 2: OSError",
        "a: started, attempt 3",
        "a: failed: ExitCode: exit 9",
    ]


async def test_of_a_long_list_each_tenth_is_told_and_what_fails() -> None:
    console = Console(file=io.StringIO(), width=10_000)

    def step(ended: int, phase: Phase = Phase.RUNNING) -> TaskView:
        return TaskView(name="m", phase=phase, started_at=T0, items=ItemCounts(total=1000, succeeded=ended))

    failed = TaskView(name="m[7]", phase=Phase.FAILED, attempts=1, reason="ExitCode", message="exit code 1")
    steps = [(step(0),), *((step(n), TaskView(name=f"m[{n}]", phase=Phase.SUCCEEDED)) for n in range(250)), (failed,)]
    left = iter(steps)
    async with LinePrinter(console, lambda: next(left, ())) as shown:
        for _ in steps:
            shown.changed()
    told = [line.split("  ", 1)[1] for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert told == [
        "m: started: 1000 items",
        "m: 100/1000 items",
        "m: 200/1000 items",
        "m[7]: failed: ExitCode: exit code 1",
    ]


async def test_the_picture_makes_way_for_a_question() -> None:
    console = _terminal(color_system=None)
    async with LiveTree(console, lambda: RUN) as shown:
        with shown.paused():
            before = _written(console)
            await asyncio.sleep(0)
            assert _written(console) == before
