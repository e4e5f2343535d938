"""What lint says of `workflow` tasks by the templates in the same files: arguments, outputs, and endless nesting."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fairlead.api.declared import declared_types
from fairlead.api.problems import Problem, Severity, did_you_mean
from fairlead.engine.outputs import has_type

__all__ = ["check_subworkflows"]

_Json = Mapping[str, Any]

#: Returns the spec of a template by its name, None where it is not known.
Find = Callable[[str], Any]


def check_subworkflows(spec: Any, find: Find, own_name: str = "") -> Iterator[Problem]:
    """Yield what is wrong with the `workflow` tasks of a spec that compiles. `own_name` is that of a template."""
    for path, task in _subworkflows(spec):
        name = _template_of(task)
        template = find(name)
        if not isinstance(template, Mapping):
            words = f"no WorkflowTemplate {name!r} is among these files: arguments and outputs are not checked"
            yield Problem(f"{path}.workflow.templateRef.name", words, Severity.WARNING)
            continue
        if own_name and (way := _way(name, own_name, find)):
            words = f"the templates run each other without end: {' → '.join((own_name, *way))}"
            yield Problem(f"{path}.workflow.templateRef.name", words)
        yield from _check_arguments(task, f"{path}.workflow.arguments", name, template)
        yield from _check_outputs(task, f"{path}.outputs", name, template)


def _check_arguments(task: _Json, path: str, name: str, template: _Json) -> Iterator[Problem]:
    declared = declared_types(template.get("params"))
    given: set[str] = set()
    for index, argument in enumerate(task["workflow"].get("arguments") or ()):
        given.add(argument["name"])
        if argument["name"] not in declared:
            hint = did_you_mean(argument["name"], [*declared])
            yield Problem(
                f"{path}[{index}].name", f"WorkflowTemplate {name!r} has no parameter {argument['name']!r}{hint}"
            )
            continue
        wanted, value = declared[argument["name"]], argument["value"]
        if wanted is not None and _is_constant(value) and not has_type(value, wanted):
            words = f"must be of type {wanted}, as WorkflowTemplate {name!r} says, not {json.dumps(value)[:60]}"
            yield Problem(f"{path}[{index}].value", words)
    for parameter in _items(template.get("params")):
        if "default" not in parameter and parameter.get("name") not in given:
            words = f"parameter {parameter.get('name')!r} of WorkflowTemplate {name!r} has no value"
            yield Problem(path, words)


def _check_outputs(task: _Json, path: str, name: str, template: _Json) -> Iterator[Problem]:
    handed_on = [str(output.get("name")) for output in _items(template.get("outputs"))]
    for index, output in enumerate(task.get("outputs") or ()):
        if output["name"] not in handed_on and "default" not in output:
            hint = did_you_mean(output["name"], handed_on)
            yield Problem(f"{path}[{index}].name", f"WorkflowTemplate {name!r} has no output {output['name']!r}{hint}")


def _way(name: str, goal: str, find: Find, seen: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return the templates from one to another by their `workflow` tasks, `()` when there is no way."""
    if name == goal:
        return (name,)
    for following in _runs(find(name)):
        if following not in seen and (way := _way(following, goal, find, seen | {name})):
            return (name, *way)
    return ()


def _runs(spec: Any) -> Iterable[str]:
    return dict.fromkeys(_template_of(task) for _, task in _subworkflows(spec))


def _subworkflows(spec: Any) -> Iterator[tuple[str, _Json]]:
    for section in ("tasks", "finally"):
        for index, task in enumerate(_items(spec.get(section) if isinstance(spec, Mapping) else None)):
            if _template_of(task):
                yield f"spec.{section}[{index}]", task


def _template_of(task: _Json) -> str:
    given = task.get("workflow")
    reference = given.get("templateRef") if isinstance(given, Mapping) else None
    name = reference.get("name") if isinstance(reference, Mapping) else None
    return name if isinstance(name, str) else ""


def _items(raw: Any) -> list[_Json]:
    """Return the objects of a list. Of a spec that compiles they are all; a template may have errors of its own."""
    return [item for item in raw if isinstance(item, Mapping)] if isinstance(raw, list) else []


def _is_constant(value: Any) -> bool:
    return "${" not in json.dumps(value)
