"""Why tasks do not run, as lines of text: a line each, or the chain of one of them as a tree.

load[3]    Backoff        next attempt at 2026-11-22T08:01:00Z; the last one: Error: exit code 1
transform  Waiting        for load
publish    Waiting        for transform ← load[3]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from fairlead.cli.explanation import ROOTS, Line, Node
from fairlead.cli.render.layers import few
from fairlead.cli.render.tree import STYLES, Glyphs
from fairlead.cli.view import TaskView
from fairlead.engine.model import Phase

__all__ = ["cause_lines", "chain_lines"]


def cause_lines(lines: Sequence[Line], glyphs: Glyphs) -> list[Text]:
    """Return a line for each task."""
    names = max((len(_name(line)) for line in lines), default=0)
    phases = max((len(line.task.phase) for line in lines), default=0)
    return [
        Text.assemble(
            f"  {_name(line):<{names}}  ",
            (f"{line.task.phase:<{phases}}", STYLES[line.task.phase]),
            f"  {_why(line, glyphs)}",
        )
        for line in lines
    ]


def chain_lines(node: Node, glyphs: Glyphs) -> list[Text]:
    """Return the chain of one task: each below what it is the cause of."""
    return list(_chain(node, "", "", glyphs))


def _chain(node: Node, lead: str, below: str, glyphs: Glyphs) -> Iterator[Text]:
    task = node.task
    said = "see above" if node.told else _own(task)
    if node.skipped:
        yield Text(f"{lead}{glyphs.cut}", "dim")
        lead = below
    yield Text.assemble(
        (lead, "dim"),
        f"{task.name}  ",
        (task.phase.value, STYLES[task.phase]),
        f"  {said}" if said else "",
    )
    for position, cause in enumerate(node.causes):
        last = position == len(node.causes) - 1 and not node.more
        bracket = glyphs.last if last else glyphs.branch
        yield from _chain(cause, f"{below}{bracket} ", f"{below}{' ' if last else glyphs.middle} ", glyphs)
    if node.more:
        yield Text(f"{below}{glyphs.last} {glyphs.cut} {node.more} more", "dim")


def _name(line: Line) -> str:
    if line.count == 1:
        return line.task.name
    return f"{line.task.name} and {line.count - 1} more"


def _why(line: Line, glyphs: Glyphs) -> str:
    if not line.causes:
        return _own(line.task)
    said = ("for " if line.task.phase is Phase.WAITING else "by ") + few(line.causes)
    if set(line.roots) != set(line.causes):
        said += f" {glyphs.after} {few(line.roots)}" + (" or more" if len(line.roots) == ROOTS else "")
    return said.replace("…", glyphs.cut)


def _own(task: TaskView) -> str:
    """Say what a task says of itself, on one line."""
    message = " ".join(task.message.split())
    return ": ".join(part for part in (task.reason, message) if part)
