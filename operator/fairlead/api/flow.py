"""`forEach` and `repeat` of one task, compiled, and the names that they give to its expressions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fairlead.api import task_flow
from fairlead.api.pod_rules import Report
from fairlead.api.rendering import TreeCompiler
from fairlead.api.task import Task
from fairlead.engine.expressions import Declarations, ExpressionError
from fairlead.engine.model import ForEach, Repeat, Tolerance, ValueType
from fairlead.engine.references import ROOTS
from fairlead.engine.templates import CompiledTree, FieldReference, Template, parse_template

__all__ = ["MAX_ITEMS", "Flow", "compile_flow", "may_be_empty", "tolerance"]

#: Items of one `forEach`.
MAX_ITEMS = 10_000

# What is, or may come to be, a name of its own in some expression.
_TAKEN = ROOTS | {"attempt", "index", "iteration", "object", "outputs", "previous", "response", "schedule"}
# Words and types of CEL.
_WORDS = frozenset(
    """
    as break const continue else false for function if import in let loop namespace null package return true var void
    while bool bytes double dyn int list map null_type string type uint
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """How often a task runs. `declarations` are what its own expressions may name, its item and round included."""

    for_each: ForEach | None
    repeat: Repeat | None
    declarations: Declarations
    references: tuple[FieldReference, ...]


def compile_flow(
    task: Task,
    path: str,
    trees: TreeCompiler,
    *,
    item_types: Mapping[str, ValueType],
    outputs: Mapping[str, ValueType | None],
) -> Flow:
    """Check and compile `forEach` and `repeat`.

    item_types
        the declared types of the items of parameters that are lists, by their names.
    outputs
        the outputs of one run of the task, which the next round of a `repeat` sees.
    """
    found: list[CompiledTree] = []
    declarations = trees.declarations
    for_each = repeat = None
    if task.for_each is not None:
        variables = _item_variables(task.for_each, item_types)
        declarations = replace(declarations, variables={**declarations.variables, **variables})
        inner = replace(trees, declarations=declarations)
        for_each = _for_each(task.for_each, f"{path}.forEach", trees, inner, found)
    if task.repeat is not None:
        variables = {**declarations.variables, "iteration": ValueType.INTEGER}
        ended = replace(declarations, variables=variables, records={**declarations.records, "outputs": outputs})
        until = replace(trees, declarations=ended).condition(task.repeat.until, f"{path}.repeat.until")
        found.append(until)
        repeat = Repeat(
            until=until, max_iterations=task.repeat.max_iterations, delay_seconds=task.repeat.delay_seconds or 0
        )
        declarations = replace(declarations, variables=variables, records={**declarations.records, "previous": outputs})
    references = tuple(reference for tree in found for reference in tree.references)
    return Flow(for_each=for_each, repeat=repeat, declarations=declarations, references=references)


def may_be_empty(for_each: task_flow.ForEach) -> bool:
    """Tell whether nothing may be left to run, so that the task is Skipped."""
    return for_each.when is not None or not isinstance(for_each.items, list) or not for_each.items


def tolerance(given: task_flow.Tolerate | None, path: str, report: Report) -> Tolerance:
    """Check and compile a `tolerate`."""
    if given is None:
        return Tolerance()
    if (given.count is None) == (given.percent is None):
        report(path, "must have exactly one of `count` and `percent`")
    return Tolerance(count=given.count, percent=given.percent)


def _for_each(
    given: task_flow.ForEach, path: str, trees: TreeCompiler, inner: TreeCompiler, found: list[CompiledTree]
) -> ForEach:
    items = _items(given.items, f"{path}.in", trees)
    when = inner.condition(given.when, f"{path}.when") if given.when is not None else None
    found += [items, *([when] if when else ())]
    name = given.variable or "item"
    if _is_taken(name):
        trees.report(f"{path}.as", f"must be another name: {name!r} has a meaning of its own in expressions")
    return ForEach(
        items=items,
        variable=name,
        when=when,
        max_parallel=given.max_parallel,
        tolerance=tolerance(given.tolerate, f"{path}.tolerate", trees.report),
        batch_size=given.batch_size,
        limit=MAX_ITEMS,
    )


def _items(given: Any, path: str, trees: TreeCompiler) -> CompiledTree:
    failed: list[str] = []

    def report(field: str, message: str) -> None:
        failed.append(field)
        trees.report(field, message)

    tree = replace(trees, report=report).value(given, path)
    if failed:
        return tree
    if isinstance(given, list):
        if len(given) > MAX_ITEMS:
            trees.report(path, f"{len(given):,} items; there may be {MAX_ITEMS:,}: hand on fewer and larger ones")
    elif tree.is_constant:
        trees.report(path, f"must be a list, or one expression ${{…}} that gives one, not {_shown(given)}")
    elif tree.type not in {ValueType.ARRAY, None}:
        trees.report(path, f"must be a list, but the expression is of type {tree.type}")
    return tree


def _item_variables(given: task_flow.ForEach, item_types: Mapping[str, ValueType]) -> dict[str, ValueType | None]:
    type_ = ValueType.ARRAY if given.batch_size is not None else _item_type(given.items, item_types)
    name = given.variable or "item"
    own = {} if _is_taken(name) else {name: type_}
    return {**own, "item": type_, "index": ValueType.INTEGER}


def _is_taken(name: str) -> bool:
    return name in _TAKEN or name in _WORDS or name.startswith("__")


def _item_type(items: Any, item_types: Mapping[str, ValueType]) -> ValueType | None:
    """Return the type of every item: that of all that are written out, or what the parameter says; None: not known."""
    if isinstance(items, list):
        return _common_type({_literal_type(item) for item in items})
    whole = _parsed(items).whole if isinstance(items, str) else None
    return item_types.get(whole.source.removeprefix("params.")) if whole else None


def _parsed(text: str) -> Template:
    try:
        return parse_template(text)
    except ExpressionError:
        return Template(())  # it was reported


def _literal_type(item: Any) -> ValueType | None:
    match item:
        case bool():
            return ValueType.BOOLEAN
        case int():
            return ValueType.INTEGER
        case float():
            return ValueType.NUMBER
        case str() if _parsed(item).whole is None:
            return ValueType.STRING
        case list():
            return ValueType.ARRAY
        case dict():
            return ValueType.OBJECT
        case _:
            return None


def _common_type(types: set[ValueType | None]) -> ValueType | None:
    if types == {ValueType.INTEGER, ValueType.NUMBER}:
        return ValueType.NUMBER
    return types.pop() if len(types) == 1 else None


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
