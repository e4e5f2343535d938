"""`set`: values from expressions, evaluated by the operator itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.api.kinds.asking import NamedTree
from fairlead.api.kinds.kind import NO_POD, CompiledKind, Context, Kind
from fairlead.api.task import Task
from fairlead.api.work import RenderedSet
from fairlead.engine.model import OutputDeclaration, Scope, ValueType, WorkKind
from fairlead.engine.templates import FieldReference

__all__ = ["SET", "SetWork"]


@dataclass(frozen=True, slots=True)
class SetWork:
    """The values of a `set`; implements `fairlead.engine.model.Work`."""

    values: tuple[NamedTree, ...]
    kind: WorkKind = WorkKind.SET

    @property
    def references(self) -> tuple[FieldReference, ...]:
        """Everything that its expressions name."""
        return tuple(reference for _, tree in self.values for reference in tree.references)

    def evaluate(self, scope: Scope) -> RenderedSet:
        """Return the values. Raises `ExpressionError`."""
        return RenderedSet(values={name: tree.evaluate(scope) for name, tree in self.values})


def _compile(context: Context, task: Task, path: str) -> CompiledKind:
    assert task.set is not None
    values: dict[str, NamedTree] = {}
    for index, given in enumerate(task.set.values):
        at = f"{path}.set.values[{index}]"
        if given.name in values:
            context.report(f"{at}.name", f"another value is named {given.name!r}, too; names must be unique")
        values[given.name] = given.name, context.trees.value(given.value, f"{at}.value")
    outputs = tuple(OutputDeclaration(name=name, type=tree.type) for name, tree in values.values())
    return CompiledKind(work=SetWork(tuple(values.values())), outputs=outputs)


def _outputs(raw: Any) -> Mapping[str, ValueType | None]:
    values = raw.get("values") if isinstance(raw, Mapping) else None
    items = values if isinstance(values, list) else []
    return {item["name"]: None for item in items if isinstance(item, Mapping) and isinstance(item.get("name"), str)}


SET = Kind(
    name="set",
    compile=_compile,
    default_timeout=False,
    outputs=_outputs,
    unfit=NO_POD
    | {
        "outputs": "its outputs are its `values`",
        "repeat": "the values would be the same again",
        "retry": "the values would be the same again",
        "timeoutSeconds": "it takes no time",
        "deadlineSeconds": "it takes no time",
        "startTimeoutSeconds": "it takes no time",
        "queueTimeoutSeconds": "it waits for no slot",
        "priority": "it waits for no slot",
    },
)
