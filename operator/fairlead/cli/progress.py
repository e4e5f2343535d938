"""Showing a run while it goes on: a picture that is redrawn on a terminal, a line for each event elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from fairlead.cli.render.durations import between
from fairlead.cli.render.tree import ASCII, GLYPHS, one_line, run_lines
from fairlead.cli.terminal import speaks_unicode
from fairlead.cli.view import RunView, TaskView
from fairlead.clock import utc_now
from fairlead.engine.model import ACTIVE, Phase

__all__ = ["LinePrinter", "LiveTree", "Progress", "progress_on"]

_REDRAW_SECONDS = 0.25


class Progress(Protocol):
    """Shows a run; an async context manager around it."""

    def changed(self) -> None:
        """Take note that something has changed."""

    def note(self, text: str) -> None:
        """Say something to the person who watches."""

    def paused(self) -> AbstractContextManager[None]:
        """Leave the terminal to somebody else, as long as the context lasts."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def progress_on(
    console: Console, view: Callable[[], RunView], changes: Callable[[], Iterable[TaskView]] | None = None
) -> Progress:
    """Return what suits a console: a live picture only where there is a screen to redraw.

    `changes` gives the tasks that may have changed since it was called last; by default all are looked at.
    """
    screen = console.is_terminal and not console.is_dumb_terminal
    return LiveTree(console, view) if screen else LinePrinter(console, changes or (lambda: view().tasks))


class LiveTree:
    """The picture of a run on a terminal, redrawn four times a second at most. It leaves nothing behind."""

    def __init__(self, console: Console, view: Callable[[], RunView]) -> None:
        self._console = console
        self._view = view
        self._glyphs = GLYPHS if speaks_unicode(console) else ASCII
        # Redrawn by us: rich would do it in a thread, in the middle of a change.
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._ticker: asyncio.Task[None] | None = None
        self._resting = False

    def changed(self) -> None:
        """Leave it to the next tick."""

    def note(self, text: str) -> None:
        """Print a line above the picture."""
        self._live.console.print(Text(text))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the picture away, and bring it back."""
        self._resting = True
        self._live.stop()
        try:
            yield
        finally:
            self._resting = False
            self._live.start()

    async def __aenter__(self) -> Self:
        self._live.start()
        self._ticker = asyncio.create_task(self._tick())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            with suppress(asyncio.CancelledError):
                await self._ticker
        self._live.stop()

    async def _tick(self) -> None:
        while True:
            if not self._resting:
                self._draw()
            await asyncio.sleep(_REDRAW_SECONDS)

    def _draw(self) -> None:
        lines = run_lines(self._view(), utc_now(), glyphs=self._glyphs, height=self._console.height - 1, live=True)
        for line in lines:
            line.truncate(self._console.width - 1, overflow="ellipsis")
        self._live.update(Group(*lines), refresh=True)


class LinePrinter:
    """A line when a task starts, is tried again and ends: for logs, and for terminals that are none.

    Of items only failures are told, and at their task how many have ended, each time that a tenth of them has.
    """

    def __init__(self, console: Console, changes: Callable[[], Iterable[TaskView]]) -> None:
        self._console = console
        self._changes = changes
        self._seen: dict[str, TaskView] = {}

    def changed(self) -> None:
        """Print what is new."""
        now = utc_now()
        for task in self._changes():
            before = self._seen.get(task.name)
            if before is None or _standing(before) != _standing(task):
                self._seen[task.name] = task
                for said in _events(task, before, now):
                    self._console.print(Text(f"{now:%H:%M:%S}  {task.name}: {said}"))

    def note(self, text: str) -> None:
        """Print it."""
        self._console.print(Text(text))

    def paused(self) -> AbstractContextManager[None]:
        """Nothing is in anybody's way."""
        return nullcontext()

    async def __aenter__(self) -> Self:
        self.changed()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.changed()


def _standing(task: TaskView) -> tuple[object, ...]:
    """Return what of a task is told when it changes."""
    return (task.phase, task.attempts, _tenths(task))


def _tenths(task: TaskView) -> int:
    return 0 if task.items is None else 10 * task.items.ended // task.items.total


def _events(task: TaskView, before: TaskView | None, now: datetime) -> Iterator[str]:
    """Say what has happened to a task since it was seen last."""
    known = len(before.retried) if before else 0
    for number, message in enumerate(task.retried[known:], start=known + 1):
        yield f"attempt {number} failed: {one_line(message)}"
    if not task.is_item or task.phase is Phase.FAILED:
        yield from _moves(task, before, now)


def _moves(task: TaskView, before: TaskView | None, now: datetime) -> Iterator[str]:
    message = f": {one_line(task.message)}" if task.message else ""
    match task.phase:
        case Phase.WAITING | Phase.QUEUED | Phase.BACKOFF:
            pass
        case Phase.STARTING | Phase.RUNNING:
            if _has_started(task, before):
                yield "started" + _which(task, before)
            if task.items is not None and _tenths(task) > (0 if before is None else _tenths(before)):
                yield f"{task.items.ended}/{task.items.total} items"
        case Phase.SUCCEEDED:
            took = between(task.started_at, task.completed_at, now)
            yield (f"succeeded in {took}" if took else "succeeded") + message
        case Phase.FAILED:
            yield f"failed: {task.reason}{message}"
        case Phase.SKIPPED | Phase.UPSTREAM_FAILED | Phase.CANCELLED:
            yield task.phase.value + message


def _has_started(task: TaskView, before: TaskView | None) -> bool:
    """Tell whether a start is to be told: each attempt once, when it is on record, which its phase may be before it."""
    if task.attempts > (0 if before is None else before.attempts):
        return True
    return (before is None or before.phase not in ACTIVE) and (task.items is not None or task.phase is Phase.RUNNING)


def _which(task: TaskView, before: TaskView | None) -> str:
    """Say how many times a task has been started, or over how many items."""
    if task.items is not None:
        return f": {task.items.total} items"
    if task.round > (1 if before is None else before.round):
        return f", round {task.round}"
    return f", attempt {task.attempts}" if task.attempts > 1 else ""
