"""Small definitions, and what compiling them says."""

from __future__ import annotations

from typing import Any

import yaml

from fairlead.api.compile import Compiled, compile_workflow
from fairlead.api.problems import InvalidSpec
from fairlead.api.task import TASK_KINDS
from fairlead.engine.model import Node, Scope
from fairlead.expr.cel import CelEvaluator

EVALUATOR = CelEvaluator()
RUN = {"name": "demo", "namespace": "sales", "uid": "0001", "attempt": 1, "startTime": "2026-11-22T06:30:00Z"}


def task(name: str = "a", **fields: Any) -> dict[str, Any]:
    """A task that runs a container, unless it is given another kind."""
    kind = {} if fields.keys() & set(TASK_KINDS) else {"container": {"image": "x"}}
    return {"name": name, **kind, **fields}


def job(**fields: Any) -> dict[str, Any]:
    """A JobSpec with a container `main`."""
    pod = {"containers": [{"name": "main", "image": "x"}], **fields.pop("pod", {})}
    return {"spec": {"backoffLimit": 0, "template": {"spec": pod}, **fields}}


def spec(*tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"tasks": list(tasks) or [task()], **fields}


def compiled(definition: dict[str, Any] | str) -> Compiled:
    given = yaml.safe_load(definition) if isinstance(definition, str) else definition
    return compile_workflow(given, evaluator=EVALUATOR, name="demo", namespace="sales")


def problems(definition: dict[str, Any] | str) -> dict[str, str]:
    """What is wrong, by field; empty when nothing is."""
    try:
        compiled(definition)
    except InvalidSpec as invalid:
        return {problem.path: problem.message for problem in invalid.problems}
    return {}


def warnings(definition: dict[str, Any] | str) -> dict[str, str]:
    return {problem.path: problem.message for problem in compiled(definition).warnings}


def node(definition: dict[str, Any] | str, name: str = "a") -> Node:
    return compiled(definition).graph.nodes[name]


def scope(definition: dict[str, Any] | str, tasks: dict[str, dict[str, Any]] | None = None, **more: Any) -> Scope:
    """What expressions see; `tasks` are the outputs of others, `more` further names."""
    outputs = {other: {"phase": "Succeeded", "outputs": values} for other, values in (tasks or {}).items()}
    return {"params": compiled(definition).graph.params, "run": RUN, "tasks": outputs, **more}


def rendered(definition: dict[str, Any] | str, name: str = "a", **tasks: dict[str, Any]) -> Any:
    """What a task renders to; `tasks` are the outputs of others."""
    return node(definition, name).work.evaluate(scope(definition, tasks))
