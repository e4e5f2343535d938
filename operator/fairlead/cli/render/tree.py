"""A run as lines of text: its tasks layer by layer, with what may run side by side held by a bracket.

    ● nycflights  Running  3/8  7.4s
      ✔ extract      4.1s
      ┌ ✔ month-01   1.2s
      │ ✔ month-02   1.3s  ×2
      └ ● month-03   0.8s
      · join
      ┌ · figures
      └ · audit            ← extract

Layers, not indentation: a task with many parents has no single place in a tree, and a chain of a hundred must not run
off the screen. A task that comes after something else than the whole layer above it says so (`←`). Items are counted at
their task, and only the first few that did not go well have a line. What belongs to `finally` comes below all else.

For a screen, layers are folded until all fits: what is over first, what has not begun next, what runs last.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from rich.text import Text

from fairlead.cli.render.durations import between
from fairlead.cli.render.layers import few, layers, origin
from fairlead.cli.view import ItemCounts, RunView, TaskView
from fairlead.engine.model import TERMINAL, Phase

__all__ = ["ASCII", "GLYPHS", "STYLES", "Glyphs", "one_line", "output_lines", "run_lines"]


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters to draw with."""

    phases: dict[Phase, str]
    spinner: str
    first: str
    middle: str
    last: str
    branch: str
    after: str
    times: str
    cut: str


GLYPHS = Glyphs(
    phases={
        Phase.WAITING: "·",
        Phase.QUEUED: "◌",
        Phase.STARTING: "◔",
        Phase.RUNNING: "●",
        Phase.BACKOFF: "↻",
        Phase.SUCCEEDED: "✔",
        Phase.FAILED: "✘",
        Phase.SKIPPED: "○",
        Phase.UPSTREAM_FAILED: "⊘",
        Phase.CANCELLED: "◼",
    },
    spinner="⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏",
    first="┌",
    middle="│",
    last="└",
    branch="├",
    after="←",
    times="×",
    cut="…",
)

#: For terminals whose encoding has nothing else.
ASCII = Glyphs(
    phases={
        Phase.WAITING: ".",
        Phase.QUEUED: "o",
        Phase.STARTING: "*",
        Phase.RUNNING: "*",
        Phase.BACKOFF: "~",
        Phase.SUCCEEDED: "+",
        Phase.FAILED: "x",
        Phase.SKIPPED: "-",
        Phase.UPSTREAM_FAILED: "!",
        Phase.CANCELLED: "#",
    },
    spinner="|/-\\",
    first="/",
    middle="|",
    last="\\",
    branch="|",
    after="<-",
    times="x",
    cut="...",
)

#: The colour of each phase.
STYLES = {
    Phase.WAITING: "dim",
    Phase.QUEUED: "dim",
    Phase.STARTING: "cyan",
    Phase.RUNNING: "cyan",
    Phase.BACKOFF: "yellow",
    Phase.SUCCEEDED: "green",
    Phase.FAILED: "red",
    Phase.SKIPPED: "dim",
    Phase.UPSTREAM_FAILED: "magenta",
    Phase.CANCELLED: "yellow",
}
_RUN_STYLES = {
    "Succeeded": "bold green",
    "Failed": "bold red",
    "Suspended": "bold yellow",
    "Cancelled": "bold yellow",
}
_QUIET = frozenset({Phase.WAITING, Phase.RUNNING, Phase.SUCCEEDED})
_OVER = frozenset({Phase.SUCCEEDED, Phase.SKIPPED})
_NEVER_RAN = frozenset({Phase.SKIPPED, Phase.UPSTREAM_FAILED, Phase.CANCELLED})
_MANY = 4
_ITEMS_SHOWN = 3
_ITEM_PHASES = (Phase.FAILED, Phase.BACKOFF, Phase.RUNNING)
_SPINS_PER_SECOND = 4
_NAME_WIDTH = 40


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all lines of one picture share."""

    now: datetime
    glyphs: Glyphs
    names: int
    messages: bool
    items: Mapping[str, Sequence[TaskView]]

    def glyph(self, phase: Phase, *, running: bool) -> Text:
        if phase is Phase.RUNNING and running:
            turn = int(self.now.timestamp() * _SPINS_PER_SECOND)
            return Text(self.glyphs.spinner[turn % len(self.glyphs.spinner)], STYLES[phase])
        return Text(self.glyphs.phases[phase], STYLES[phase])

    def few(self, tasks: Sequence[TaskView]) -> str:
        return few([task.name for task in tasks]).replace("…", self.glyphs.cut)


def run_lines(
    view: RunView, now: datetime, *, glyphs: Glyphs = GLYPHS, height: int | None = None, live: bool = False
) -> list[Text]:
    """Return the picture of a run.

    With `height` it has at most so many lines. `live` draws running tasks with a spinner and leaves out the messages
    that would make lines jump; otherwise each task that needs an explanation has it in full.
    """
    whole = view.whole
    longest = max((len(task.name) for task in whole), default=0)
    frame = _Frame(now, glyphs, min(longest, _NAME_WIDTH), not live, _items_to_tell(view.tasks))
    lines = [_headline(view, frame)]
    blocks = _blocks(layers([task for task in whole if not task.final]), frame, live)
    final = _blocks(layers([task for task in whole if task.final]), frame, live)
    if final:
        final[0].head = [Text("  finally", "dim")]
        blocks += final
    if height is not None:
        blocks = _fit(blocks, height - len(lines), frame)
    return lines + [line for block in blocks for line in block.all_lines]


def output_lines(view: RunView) -> list[Text]:
    """Return the results of a run, one a line."""
    width = max((len(name) for name in view.outputs), default=0)
    return [
        Text.assemble((f"  {name:<{width}}  ", "dim"), value if isinstance(value, str) else json.dumps(value))
        for name, value in view.outputs.items()
    ]


def _headline(view: RunView, frame: _Frame) -> Text:
    took = between(view.started_at, view.completed_at, frame.now)
    line = Text.assemble(
        (view.name, "bold"),
        "  ",
        (view.phase, _RUN_STYLES.get(view.phase, "bold cyan")),
        (f"  {view.ended}/{len(view.whole)} tasks" if view.tasks else ""),
        (f"  {took}" if took else "", "dim"),
    )
    # A failed task tells its own story further down, word for word.
    told = any(task.phase is Phase.FAILED for task in view.tasks)
    if view.message and frame.messages and view.phase != "Running" and not told:
        line.append(f"\n  {view.message}", "red" if view.succeeded is False else "dim")
    return line


@dataclass(slots=True)
class _Block:
    """One layer as it is drawn: in full, or folded to a line for each phase; below a `head`, which is never folded."""

    layer: Sequence[TaskView]
    lines: list[Text]
    folded: bool = False
    head: Sequence[Text] = ()

    @property
    def all_lines(self) -> list[Text]:
        """Its lines, with the head."""
        return [*self.head, *self.lines]

    @property
    def weight(self) -> int:
        """In which order layers are folded, the smallest first."""
        phases = {task.phase for task in self.layer}
        if phases <= _OVER:
            return 0
        return 1 if phases == {Phase.WAITING} else 2 if phases <= TERMINAL else 3


def _blocks(grouped: Sequence[Sequence[TaskView]], frame: _Frame, live: bool) -> list[_Block]:
    blocks = []
    above: Sequence[TaskView] = ()
    for layer in grouped:
        lines = []
        rows = _rows(layer)
        for position, row in enumerate(rows):
            bracket = _bracket(position, len(rows), frame.glyphs)
            if len(row) > 1:
                lines.append(_common_line(row, bracket, frame))
            else:
                lines += _task_lines(row[0], bracket, origin(row[0], above), frame, live)
        blocks.append(_Block(layer, lines))
        above = layer
    return blocks


def _rows(layer: Sequence[TaskView]) -> list[list[TaskView]]:
    """Put tasks that never ran, for one and the same reason, together where they are many."""
    rows: list[list[TaskView]] = []
    for (phase, _), group in groupby(layer, key=lambda task: (task.phase, task.message)):
        tasks = list(group)
        if phase in _NEVER_RAN and len(tasks) >= _MANY and not any(task.attempts for task in tasks):
            rows.append(tasks)
        else:
            rows += [[task] for task in tasks]
    return rows


def _bracket(position: int, size: int, glyphs: Glyphs) -> str:
    if size == 1:
        return "  "
    return (glyphs.first if position == 0 else glyphs.last if position == size - 1 else glyphs.middle) + " "


def _task_lines(task: TaskView, bracket: str, after: str, frame: _Frame, live: bool) -> list[Text]:
    glyphs = frame.glyphs
    took = between(task.started_at, task.completed_at, frame.now) if task.phase is not Phase.WAITING else ""
    line = Text.assemble(
        (f"  {bracket}", "dim"),
        frame.glyph(task.phase, running=live),
        " ",
        (f"{task.name:<{frame.names}}", "dim" if task.phase in (Phase.WAITING, Phase.SKIPPED) else ""),
        (f"  {took:>6}", "dim"),
    )
    if task.round > 1:
        line.append(f"  round {task.round}", "dim")
    if task.attempts > task.round:
        line.append(f"  {glyphs.times}{task.attempts}", "yellow")
    if task.items is not None:
        line.append(f"  {_counted(task.items)}", "dim")
    if task.phase not in _QUIET or (task.phase is Phase.RUNNING and task.reason):
        line.append(f"  {_said(task)}", STYLES[task.phase])
    if after:
        line.append(f"  {glyphs.after} {after.replace('…', glyphs.cut)}", "dim")
    line.rstrip()
    lines = [line]
    if frame.messages and task.message and task.phase in (Phase.FAILED, Phase.BACKOFF):
        lines += [Text(f"        {part}", STYLES[task.phase]) for part in task.message.splitlines()]
    return lines + list(_item_lines(frame.items.get(task.name, ()), frame))


def _counted(items: ItemCounts) -> str:
    """Say how far items have come."""
    parts = [f"{items.ended}/{items.total} items"]
    for number, what in (
        (items.running, "running"),
        (items.failed, "failed"),
        (items.skipped, "skipped"),
        (items.cancelled, "cancelled"),
    ):
        parts += [f"{number} {what}"] if number else []
    return ", ".join(parts)


def _items_to_tell(tasks: Sequence[TaskView]) -> Mapping[str, Sequence[TaskView]]:
    """Return, by task, the items that have something to say: what went wrong, or what they wait for."""
    found: dict[str, list[TaskView]] = {}
    for task in tasks:
        if task.is_item and task.phase in _ITEM_PHASES and task.reason:
            found.setdefault(task.task, []).append(task)
    for items in found.values():
        items.sort(key=lambda item: _ITEM_PHASES.index(item.phase))  # stable: else in the order of the list
    return found


def _item_lines(items: Sequence[TaskView], frame: _Frame) -> Iterator[Text]:
    for item in items[:_ITEMS_SHOWN]:
        said = item.reason
        if item.message and (frame.messages or item.phase is Phase.RUNNING):
            said += f": {one_line(item.message)}".replace("…", frame.glyphs.cut)
        attempts = f"  {frame.glyphs.times}{item.attempts}" if item.attempts > item.round else ""
        yield Text.assemble(
            "        ",
            frame.glyph(item.phase, running=not frame.messages),
            f" {item.name}",
            (attempts, "yellow"),
            (f"  {said}", STYLES[item.phase]),
        )
    if len(items) > _ITEMS_SHOWN:
        yield Text(f"        {frame.glyphs.cut} and {len(items) - _ITEMS_SHOWN} more", "dim")


def _common_line(tasks: Sequence[TaskView], bracket: str, frame: _Frame) -> Text:
    return Text.assemble(
        (f"  {bracket}", "dim"),
        frame.glyph(tasks[0].phase, running=False),
        f" {frame.few(tasks)}",
        (f"  {_said(tasks[0])}", STYLES[tasks[0].phase]),
    )


def _said(task: TaskView) -> str:
    """Say in a few words why a task stands where it does. A failure's message has lines of its own."""
    if task.phase in (Phase.FAILED, Phase.BACKOFF):
        return task.reason
    if task.phase in (Phase.SKIPPED, Phase.UPSTREAM_FAILED, Phase.CANCELLED):
        return task.phase.value + (f": {task.message}" if task.message else "")
    return task.reason + (f": {task.message}" if task.message else "")


def one_line(text: str) -> str:
    """Return the last line of a message, where programs say what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if len(lines) == 1 else f"… {lines[-1]}" if lines else ""


def _fit(blocks: list[_Block], height: int, frame: _Frame) -> list[_Block]:
    """Fold layers until all fits; if it never does, keep what is at work and say how much is left out."""
    size = sum(len(block.all_lines) for block in blocks)
    order = sorted(range(len(blocks)), key=lambda i: (blocks[i].weight, -i if blocks[i].weight == 1 else i))
    for index in order:
        if size <= height:
            return blocks
        block = blocks[index]
        folded = _fold(block.layer, frame)
        if len(folded) < len(block.lines):
            size += len(folded) - len(block.lines)
            block.lines, block.folded = folded, True
    return blocks if size <= height else _crop(blocks, height, frame)


def _fold(layer: Sequence[TaskView], frame: _Frame) -> list[Text]:
    by_phase = sorted(layer, key=lambda task: list(Phase).index(task.phase))
    lines = []
    for phase, group in groupby(by_phase, key=lambda task: task.phase):
        tasks = list(group)
        started = [task for task in tasks if task.started_at is not None]
        slowest = max(started, key=lambda task: _seconds(task, frame.now), default=None)
        took = "" if slowest is None else between(slowest.started_at, slowest.completed_at, frame.now)
        lines.append(
            Text.assemble(
                ("    ", "dim"),
                frame.glyph(phase, running=False),
                f" {len(tasks)} {phase.value}: ",
                (frame.few(tasks), "dim"),
                (f"  {took}" if took else "", "dim"),
            )
        )
    return lines


def _seconds(task: TaskView, now: datetime) -> float:
    return 0.0 if task.started_at is None else ((task.completed_at or now) - task.started_at).total_seconds()


def _crop(blocks: list[_Block], height: int, frame: _Frame) -> list[_Block]:
    """Show a window on the lines that begins a little above the first task at work."""
    lines = [(line, block) for block in blocks for line in block.all_lines]
    room = max(1, height - 2)
    at_work = next((i for i, (_, block) in enumerate(lines) if block.weight == 3), 0)
    begin = max(0, min(at_work - 2, len(lines) - room))
    shown = [line for line, _ in lines[begin : begin + room]]
    before, after = begin, len(lines) - begin - len(shown)
    cut = frame.glyphs.cut
    head = [Text(f"    {cut} {before} lines above", "dim")] if before else []
    tail = [Text(f"    {cut} {after} lines below", "dim")] if after else []
    return [_Block((), [*head, *shown, *tail])]
