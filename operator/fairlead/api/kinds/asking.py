"""Expressions about what is only known while a task runs: the answer of a server, an object of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from fairlead.api.kinds.kind import Context
from fairlead.api.rendering import TreeCompiler
from fairlead.api.task import Task, TaskOutput
from fairlead.api.work import Bound
from fairlead.engine.model import Scope, ValueType
from fairlead.engine.templates import CompiledTree

__all__ = ["NamedTree", "about", "bound", "compile_outputs"]

#: An output, and the expression that gives its value.
NamedTree: TypeAlias = tuple[str, CompiledTree]


def about(trees: TreeCompiler, name: str, fields: Mapping[str, ValueType | None] | None = None) -> TreeCompiler:
    """Return a compiler whose expressions know one name more: an object of any fields, or with these fields only."""
    declarations = trees.declarations
    if fields is None:
        variables = {**declarations.variables, name: ValueType.OBJECT}
        return replace(trees, declarations=replace(declarations, variables=variables))
    records = {**declarations.records, name: fields}
    return replace(trees, declarations=replace(declarations, records=records))


def compile_outputs(context: Context, task: Task, path: str, trees: TreeCompiler, name: str) -> list[NamedTree]:
    """Compile the outputs of a task, whose `from` are expressions about `name`; `trees` know it."""
    compiled: list[NamedTree] = []
    for index, output in enumerate(task.outputs or ()):
        at = f"{path}.outputs[{index}].from"
        if output.source is None:
            context.report(at, f"is required: an expression over `{name}` that gives the value")
        else:
            compiled.append((output.name, _expression(output, output.source, at, trees)))
    return compiled


def bound(tree: CompiledTree, scope: Scope) -> Bound:
    """Return an expression with the values that are known by now."""
    return Bound(program=tree, scope=scope)


def _expression(output: TaskOutput, source: str, path: str, trees: TreeCompiler) -> CompiledTree:
    failed: list[str] = []

    def report(field: str, message: str) -> None:
        failed.append(field)
        trees.report(field, message)

    tree = replace(trees, report=report).value(source, path)
    if failed:
        return tree
    if tree.is_constant:
        trees.report(path, f"must be an expression, such as ${{{source.strip()}}}")
    elif tree.type not in {output.type, None} and (tree.type, output.type) != (ValueType.INTEGER, ValueType.NUMBER):
        trees.report(path, f"is of type {tree.type}, but the output is declared as {output.type}: set its `type`")
    return tree
