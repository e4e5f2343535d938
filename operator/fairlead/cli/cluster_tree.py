"""What `fairlead tree` does: read a Workflow, draw it, and draw it again while it changes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.text import Text

from fairlead.cli.cluster import Cluster, connect
from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.progress import progress_on
from fairlead.cli.render.tree import ASCII, GLYPHS, output_lines, run_lines
from fairlead.cli.terminal import data, print_json, say, speaks_unicode
from fairlead.cli.view import RunView, declared_final, declared_needs, view_of_object
from fairlead.clock import utc_now

__all__ = ["Request", "compiled_needs", "draw_object", "follow_to_end", "show_tree"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line; see `tree.py`."""

    name: str
    namespace: str | None = None
    watch: bool = False
    exit_code: bool = False
    kubeconfig: Path | None = None
    context: str | None = None
    as_json: bool = False


def show_tree(request: Request) -> int:
    """Show a run; returns the exit code. Raises :class:`CliError`."""
    return asyncio.run(_show(request))


async def _show(request: Request) -> int:
    async with connect(request.kubeconfig, request.context, request.namespace) as cluster:
        workflow = await cluster.read(request.name)
        look = _viewer(workflow)
        interrupted = False
        if request.watch:
            workflow, interrupted = await _watch(cluster, workflow, look)
        view = look(workflow)
        if request.as_json:
            print_json(workflow.get("status") or {})
        else:
            _draw(view)
        if interrupted:
            say().print(Text("the run goes on"))
            return ExitCode.INTERRUPTED
        return ExitCode.FAILED if request.exit_code and view.succeeded is False else ExitCode.OK


async def follow_to_end(cluster: Cluster, workflow: dict[str, Any]) -> ExitCode:
    """Follow a run until it ends, show it, and return its outcome as an exit code. Raises :class:`CliError`."""
    look = _viewer(workflow)
    workflow, interrupted = await _watch(cluster, workflow, look)
    view = look(workflow)
    _draw(view)
    if interrupted:
        say().print(Text("the run goes on"))
        return ExitCode.INTERRUPTED
    return ExitCode.OK if view.succeeded else ExitCode.FAILED


async def _watch(
    cluster: Cluster, workflow: dict[str, Any], look: Callable[[dict[str, Any]], RunView]
) -> tuple[dict[str, Any], bool]:
    """Follow a run until it ends. Returns it as it was seen last, and whether the user had enough before."""
    latest = workflow

    def view() -> RunView:
        now = look(latest)
        return replace(now, phase=f"{now.phase} ({cluster.trouble})") if cluster.trouble else now

    async def follow() -> None:
        nonlocal latest
        async for each in cluster.follow(workflow):
            latest = each
            progress.changed()
            if view().succeeded is not None:
                return
        raise CliError(f"the Workflow {workflow['metadata']['name']!r} was deleted while it ran", ExitCode.FAILED)

    async with progress_on(say(), view) as progress:
        following = asyncio.create_task(follow())
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, following.cancel)
        try:
            await following
        except asyncio.CancelledError:
            return latest, True
        finally:
            loop.remove_signal_handler(signal.SIGINT)
    return latest, False


def _viewer(workflow: Mapping[str, Any]) -> Callable[[dict[str, Any]], RunView]:
    """Return how to look at a run, whose definition is written out here and may not be when it is seen again."""
    needs, final = compiled_needs(workflow), declared_final(workflow["spec"])
    return lambda latest: view_of_object(latest, needs, final)


def compiled_needs(workflow: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
    """Return the parents of each task: those it names, and those that its expressions imply."""
    from fairlead.api.compile import InvalidSpec, compile_workflow
    from fairlead.expr.cel import CelEvaluator

    spec, metadata = workflow["spec"], workflow["metadata"]
    try:
        compiled = compile_workflow(
            spec, evaluator=CelEvaluator(), name=metadata["name"], namespace=metadata.get("namespace", "default")
        )
    except InvalidSpec:  # refused, or written for an operator of another version
        return declared_needs(spec)
    return {name: node.needs for name, node in compiled.graph.nodes.items()}


def draw_object(workflow: Mapping[str, Any]) -> None:
    """Draw a run whose definition is written out."""
    _draw(_viewer(workflow)(dict(workflow)))


def _draw(view: RunView) -> None:
    console = data()
    glyphs = GLYPHS if speaks_unicode(console) else ASCII
    for line in run_lines(view, utc_now(), glyphs=glyphs):
        console.print(line, soft_wrap=True)
    if view.outputs:
        console.print(Text("outputs:", "bold"))
        for line in output_lines(view):
            console.print(line, soft_wrap=True)
