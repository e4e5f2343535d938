"""Runs of small hand-made graphs: each task is a line of shell."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairlead.api.compile import Compiled
from fairlead.api.work import RenderedWork
from fairlead.api.workspace import Workspace
from fairlead.engine import graph
from fairlead.engine.model import Backoff, Node, RetryPolicy, Scope, Settings, WorkKind
from fairlead.local.runner import LocalRun, Surroundings
from fairlead.local.sandbox import base_environment

NO_DELAY = Backoff(initial_seconds=0)


@dataclass(frozen=True)
class Shell:
    """A container task that runs one line of `sh`; `render` may make its text from the scope."""

    text: str = ""
    container: Mapping[str, Any] = field(default_factory=dict)
    pod: Mapping[str, Any] = field(default_factory=dict)
    script: Mapping[str, Any] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    render: Callable[[Scope], str] | None = None
    kind: WorkKind = WorkKind.POD

    def evaluate(self, scope: Scope) -> RenderedWork:
        text = self.render(scope) if self.render else self.text
        container = {"image": "unused"} if self.script else {"image": "unused", "command": ["sh", "-c", text]}
        return copy.deepcopy(
            RenderedWork(
                kind="Pod",
                container={**container, **self.container},
                script=self.script,  # type: ignore[typeddict-item]
                files=[{"path": path, "text": text} for path, text in self.files.items()],
                pod=dict(self.pod),
                jobSpec=None,
            )
        )


def sh(
    name: str, text: str = "true", *, needs: tuple[str, ...] = (), pod: Any = None, env: Any = None, **more: Any
) -> Node:
    container = {"env": [{"name": key, "value": value} for key, value in (env or {}).items()]}
    return Node(name=name, work=Shell(text, container, pod or {}), needs=needs, **more)


def retrying(limit: int) -> RetryPolicy:
    return RetryPolicy(limit=limit, backoff=NO_DELAY)


def prepared(
    workdir: Path,
    *nodes: Node,
    settings: Settings | None = None,
    passed: Mapping[str, str] | None = None,
    workspace: Workspace | None = None,
    **more: Any,
) -> LocalRun:
    settings = settings or Settings(parallelism=4)
    compiled = Compiled(
        name="test-run", namespace="default", graph=graph.build(nodes), settings=settings, workspace=workspace
    )
    surroundings = Surroundings(base=base_environment(passed or {}))
    return LocalRun(compiled, settings=settings, uid="uid-1", workdir=workdir, surroundings=surroundings, **more)


async def executed(workdir: Path, *nodes: Node, **more: Any) -> LocalRun:
    run = prepared(workdir, *nodes, **more)
    await asyncio.wait_for(run.execute(), 20)
    return run


def phases(run: LocalRun) -> dict[str, str]:
    return {name: state.phase.value for name, state in run.state.nodes.items()}


def log(run: LocalRun, node: str, number: int = 1) -> str:
    return run.sandbox(node, number).log.read_text()


async def eventually(check: Callable[[], object], within: float = 5.0) -> None:
    """Wait until something is true, looking every few milliseconds."""
    until = time.monotonic() + within
    while not check():
        assert time.monotonic() < until, "it did not come true"
        await asyncio.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Tell whether a process is there and not only waiting for its parent to take note of its end."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"
