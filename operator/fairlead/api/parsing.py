"""From plain JSON to the models, with every problem in the words and the paths of the API.

A definition with one broken task is still worth checking further: what does not fit its model is left out
(None), so that the compile step can report the rest as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fairlead.api.concurrency import ConcurrencyKey
from fairlead.api.declared import Argument, Parameter, declared_types
from fairlead.api.definition import RunOutput
from fairlead.api.kinds import KINDS
from fairlead.api.problems import Problem, did_you_mean
from fairlead.api.task import FinalTask, Task, TaskDefaults
from fairlead.api.workflow import LIVE_FIELDS, LiveSpec, WorkflowSpec
from fairlead.api.workspace import Workspace
from fairlead.engine.model import ValueType

__all__ = [
    "Outline",
    "ParsedSpec",
    "format_path",
    "outlines",
    "parse_model",
    "parse_spec",
    "without_nulls",
]

_Json = Mapping[str, Any]
_Model = TypeVar("_Model", bound=BaseModel)

#: Fields that hold any JSON (or a text: no harm done).
_FREE = frozenset({"default", "enum", "in", "manifest", "value"})

_PATTERNS = {
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": "must consist of lowercase letters, digits and '-', "
    "and begin and end with a letter or a digit",
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\[[0-9]+\])?$": "must be the name of a task (lowercase letters, digits and '-'), "
    "for an item with its index, as in load[3]",
    r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$": "must be a reason in CamelCase such as OOMKilled",
    r"^([a-z0-9.-]+/)?v[a-z0-9]+$": "must be an API version such as v1 or batch/v1",
    r"^[A-Z][A-Za-z0-9]*$": "must be a kind such as Pod",
    r"^[-!#$%&'*+.^_`|~0-9A-Za-z]+$": "must be the name of a header",
    r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$": "must consist of lowercase letters, digits, '-' and '.', "
    "and begin and end with a letter or a digit",
    r"^[-._a-zA-Z0-9]+$": "must consist of letters, digits, '-', '_' and '.'",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "must consist of letters, digits and '_', and not begin with a digit",
}
_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "an object",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "list_type": "a list",
    "model_attributes_type": "an object",
    "model_type": "an object",
    "string_type": "a string (put it in quotes)",
}


@dataclass(frozen=True, slots=True)
class Outline:
    """What is known of a task even when it does not fit its model: who it is, and whom it names.

    `raw` is the task as it was written. `outputs` is what it hands on when it runs once, with a type of None where that
    cannot be made out; `has_items` tells that it runs for each item of a list, and so hands on lists; `final`, that it
    is one of `finally`.
    """

    path: str
    raw: _Json
    name: str
    group: str | None
    needs: Sequence[str]
    outputs: Mapping[str, ValueType | None]
    has_items: bool = False
    final: bool = False

    @property
    def results(self) -> Mapping[str, ValueType | None]:
        """What other tasks see of it."""
        return dict.fromkeys(self.outputs, ValueType.ARRAY) if self.has_items else self.outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedSpec:
    """A spec in models. Items keep their places, None where one does not fit its model.

    `has_defaults` tells that `task_defaults` are what the user wrote.
    """

    params: Sequence[Parameter | None] = ()
    arguments: Sequence[Argument | None] = ()
    task_defaults: TaskDefaults = field(default_factory=TaskDefaults)
    tasks: Sequence[Task | None] = ()
    final: Sequence[FinalTask | None] = ()
    finally_deadline_seconds: int | None = None
    outputs: Sequence[RunOutput | None] = ()
    concurrency_key: ConcurrencyKey | None = None
    workspace: Workspace | None = None
    live: LiveSpec = field(default_factory=LiveSpec)
    has_defaults: bool = True


def without_nulls(value: Any) -> Any:
    """Return a copy without the fields that are null, which is how the API server reads them, too.

    Values of any type (arguments, defaults) are kept as they are within.
    """
    if isinstance(value, Mapping):
        return {key: item if key in _FREE else without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def parse_spec(raw: _Json) -> tuple[ParsedSpec, list[Problem]]:
    """Return the models of a spec, and what is wrong with it."""
    spec, problems = parse_model(WorkflowSpec, raw, "spec")
    if spec is not None:
        return ParsedSpec(
            params=spec.params or (),
            arguments=spec.arguments or (),
            task_defaults=spec.task_defaults or TaskDefaults(),
            tasks=spec.tasks or (),
            final=spec.final or (),
            finally_deadline_seconds=spec.finally_deadline_seconds,
            outputs=spec.outputs or (),
            concurrency_key=spec.concurrency_key,
            workspace=spec.workspace,
            live=spec,
        ), problems
    defaults = parse_model(TaskDefaults, raw.get("taskDefaults") or {}, "")[0]
    return ParsedSpec(
        params=_items(Parameter, raw.get("params")),
        arguments=_items(Argument, raw.get("arguments")),
        task_defaults=defaults or TaskDefaults(),
        tasks=_items(Task, raw.get("tasks")),
        final=_items(FinalTask, raw.get("finally")),
        outputs=_items(RunOutput, raw.get("outputs")),
        concurrency_key=_item(ConcurrencyKey, raw.get("concurrencyKey")),
        workspace=_item(Workspace, raw.get("workspace")),
        live=_item(LiveSpec, {name: raw[name] for name in LIVE_FIELDS if name in raw}) or LiveSpec(),
        has_defaults=defaults is not None,
    ), problems


def parse_model(model: type[_Model], raw: Any, path: str) -> tuple[_Model | None, list[Problem]]:
    """Return the model of a value that stands at `path`, or None, and what is wrong with it."""
    try:
        return model.model_validate(raw), []
    except ValidationError as error:
        found = error.errors(include_url=False)
        return None, [problem for details in found for problem in _problems(model, details, path)]


def outlines(raw: _Json) -> list[Outline]:
    """Return the outline of every task that has a name, those of `finally` last."""
    return [
        _outline(task, f"spec.{field}[{index}]", final=field == "finally")
        for field in ("tasks", "finally")
        for index, task in enumerate(_list(raw.get(field)))
        if isinstance(task, Mapping) and isinstance(task.get("name"), str)
    ]


def _outline(task: _Json, path: str, *, final: bool) -> Outline:
    group = task.get("group")
    return Outline(
        path=path,
        raw=task,
        name=task["name"],
        group=group if isinstance(group, str) else None,
        # What is not a string keeps its place, for the sake of the paths; it was reported.
        needs=[name if isinstance(name, str) else "" for name in _list(task.get("needs"))],
        outputs=_outputs(task),
        has_items=task.get("forEach") is not None,
        final=final,
    )


def _outputs(task: _Json) -> Mapping[str, ValueType | None]:
    for kind in KINDS.values():
        if kind.outputs is not None and kind.name in task:
            return kind.outputs(task[kind.name])
    return declared_types(task.get("outputs"))


def format_path(path: str, location: Sequence[int | str]) -> str:
    """Return a field's path: names joined by dots, indices in brackets."""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def _items(model: type[_Model], raw: Any) -> list[_Model | None]:
    return [parse_model(model, item, "")[0] for item in _list(raw)]


def _item(model: type[_Model], raw: Any) -> _Model | None:
    return None if raw is None else parse_model(model, raw, "")[0]


def _list(raw: Any) -> list[Any]:
    return raw if isinstance(raw, list) else []


def _problems(model: type[BaseModel], details: ErrorDetails, root: str) -> Iterator[Problem]:
    path = format_path(root, details["loc"])
    context = details.get("ctx", {})
    kind = details["type"]
    if kind == "kubernetes":
        for problem in context["problems"]:
            yield Problem(path + problem.path, problem.message)
    elif kind == "extra_forbidden":
        *parents, name = details["loc"]
        yield Problem(path, f"unknown field{did_you_mean(str(name), _fields_at(model, parents))}")
    elif kind == "missing":
        yield Problem(path, "is required")
    elif kind == "enum":
        expected = re.findall(r"'([^']*)'", context["expected"])
        given = str(details["input"])
        yield Problem(path, f"must be one of {', '.join(expected)}, not {given!r}{did_you_mean(given, expected)}")
    elif kind == "string_pattern_mismatch" and context["pattern"] in _PATTERNS:
        yield Problem(path, f"{_PATTERNS[context['pattern']]}, unlike {_shown(details['input'])}")
    elif kind in _EXPECTED:
        yield Problem(path, f"must be {_EXPECTED[kind]}, not {_shown(details['input'])}")
    else:
        message = re.sub(r"^\w+ should ", "must ", details["msg"])
        yield Problem(path, message.replace(" after validation", ""))


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True)


def _fields_at(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """Return the names of the fields that exist at a place, for suggestions."""
    definitions = _schema(model).get("$defs", {})
    schema = _schema(model)
    for part in [*location, None]:
        for option in schema.get("anyOf", ()):
            if option.get("type") != "null":
                schema = option
        if "$ref" in schema:
            schema = definitions[schema["$ref"].rpartition("/")[2]]
        if part is not None:
            schema = schema.get("items", {}) if isinstance(part, int) else schema.get("properties", {}).get(part, {})
    return list(schema.get("properties", {}))


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
