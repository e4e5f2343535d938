"""What `fairlead explain` does: read a Workflow, and say why its tasks do not run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from fairlead.api.problems import did_you_mean
from fairlead.cli.cluster import connect
from fairlead.cli.cluster_tree import compiled_needs
from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.explanation import Explanation, Line, Node
from fairlead.cli.render.causes import cause_lines, chain_lines
from fairlead.cli.render.tree import ASCII, GLYPHS
from fairlead.cli.terminal import data, print_json, speaks_unicode
from fairlead.cli.view import RunView, TaskView, view_of_object

__all__ = ["Request", "explain_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line; see `explain.py`."""

    name: str
    task: str | None = None
    namespace: str | None = None
    kubeconfig: Path | None = None
    context: str | None = None
    as_json: bool = False


def explain_run(request: Request) -> int:
    """Explain a run, or one of its tasks; returns the exit code. Raises :class:`CliError`."""
    return asyncio.run(_explain(request))


async def _explain(request: Request) -> int:
    async with connect(request.kubeconfig, request.context, request.namespace) as cluster:
        workflow = await cluster.read(request.name)
    view = view_of_object(workflow, compiled_needs(workflow))
    final = frozenset(task["name"] for task in workflow["spec"].get("finally") or ())
    explanation = Explanation(view, final)
    if request.task is not None:
        _tell_chain(request, view, explanation)
    else:
        _tell_lines(request, view, explanation.lines())
    return ExitCode.OK


def _tell_chain(request: Request, view: RunView, explanation: Explanation) -> None:
    try:
        node = explanation.chain(str(request.task))
    except KeyError:
        names = [task.name for task in view.tasks]
        guess = did_you_mean(str(request.task), names)
        raise CliError(f"{view.name} has no task {request.task!r}{guess}") from None
    if request.as_json:
        print_json(_node(node))
        return
    console = data()
    glyphs = GLYPHS if speaks_unicode(console) else ASCII
    for line in chain_lines(node, glyphs):
        console.print(line, soft_wrap=True)


def _tell_lines(request: Request, view: RunView, lines: list[Line]) -> None:
    if request.as_json:
        print_json(
            [_task(line.task) | {"waitsFor": list(line.causes), "rootCauses": list(line.roots)} for line in lines]
        )
        return
    console = data()
    glyphs = GLYPHS if speaks_unicode(console) else ASCII
    message = f": {view.message}" if view.message else ""
    console.print(Text(f"{view.name}  {view.phase}{message}"), soft_wrap=True)
    for line in cause_lines(lines, glyphs):
        console.print(line, soft_wrap=True)
    if not lines:
        console.print(Text("  all its tasks have ended well" if view.succeeded else "  nothing stands still"))


def _task(task: TaskView) -> dict[str, Any]:
    return {"name": task.name, "phase": task.phase.value, "reason": task.reason, "message": task.message}


def _node(node: Node) -> Mapping[str, Any]:
    more = {"more": node.more} if node.more else {}
    return _task(node.task) | {"causes": [_node(each) for each in node.causes]} | more
