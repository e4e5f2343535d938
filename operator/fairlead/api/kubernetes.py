"""The parts of the Kubernetes API that a Workflow embeds: containers, pods, jobs.

Their fields are typed by the schema of a Kubernetes release (`kubernetes_schema.json`, written by
`kubernetes_gen.py`), so that a typo in `resources` is refused by the API server and found by lint alike. A field
of a model is marked with :class:`Kubernetes`; its value stays plain JSON, so that nothing is lost on the way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from fairlead.api.problems import Problem, did_you_mean

__all__ = ["KUBERNETES_MARK", "Kubernetes", "check", "structural"]

Schema: TypeAlias = dict[str, Any]

#: Marks, in the JSON schema of a model, a place that `crd.py` fills with the schema of a Kubernetes type.
KUBERNETES_MARK = "x-fairlead-kubernetes"

_TYPES: dict[str, tuple[type[Any], ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """Annotation of a field whose value is a Kubernetes type, `Annotated[dict[str, Any], Kubernetes("PodSpec")]`.

    `without` maps fields that must not be set here to the reason (which lint and the compile step show); the
    CRD does not have them. A list field holds many values of the type. With `loose`, the CRD keeps whatever is there,
    and only we check it: the whole of a pod is large, and a CRD must not be.
    """

    kind: str
    without: Mapping[str, str] | None = None
    loose: bool = False

    def __hash__(self) -> int:
        """Pydantic caches by annotation; the kind and the names left out identify it."""
        return hash((self.kind, tuple(self.without or ()), self.loose))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the value after pydantic made sure that it is an object (or a list)."""
        return core_schema.no_info_after_validator_function(self._validate, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        """Leave a mark instead of the schema: the whole of it is only needed in the CRD."""
        plain = handler(schema)
        if self.loose:
            kept: Schema = {"type": "object", "maxProperties": 256, "x-kubernetes-preserve-unknown-fields": True}
            return {**plain, "items": kept} if plain.get("type") == "array" else kept
        mark = {KUBERNETES_MARK: [self.kind, *(self.without or ())]}
        if plain.get("type") == "array":
            return {**plain, "items": mark}
        return mark

    def _validate(self, value: Any) -> Any:
        problems = list(check(self.kind, value, without=self.without))
        if problems:
            # One error with all problems: pydantic has no way to raise several from a function.
            raise PydanticCustomError("kubernetes", "invalid", {"problems": problems})
        return value


@cache
def _definitions() -> dict[str, Schema]:
    text = resources.files(__package__).joinpath("kubernetes_schema.json").read_text(encoding="utf-8")
    definitions: dict[str, Schema] = json.loads(text)["definitions"]
    return definitions


def structural(kind: str, *, without: tuple[str, ...] = ()) -> Schema:
    """Return the schema of a Kubernetes type for use in a CRD: nothing is shared, `$ref` are written out."""
    schema = _inline({"$ref": kind})
    for name in without:
        schema["properties"].pop(name)
        if name in schema.get("required", ()):
            schema["required"] = [other for other in schema["required"] if other != name]
    if not schema.get("required"):
        schema.pop("required", None)
    return schema


def _inline(schema: Schema) -> Schema:
    if "$ref" in schema:
        return _inline(_definitions()[schema["$ref"]])
    inlined = dict(schema)
    if "properties" in schema:
        inlined["properties"] = {name: _inline(value) for name, value in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in schema:
            inlined[key] = _inline(schema[key])
    return inlined


def check(kind: str, value: Any, *, without: Mapping[str, str] | None = None) -> Iterator[Problem]:
    """Yield what the API server would refuse in `value`, a Kubernetes type or a list of them.

    Paths begin at `value` itself: `.resources.limts`, `[0].name`.
    """
    if isinstance(value, list):
        for index, item in enumerate(value):
            for problem in check(kind, item, without=without):
                yield Problem(f"[{index}]{problem.path}", problem.message)
        return
    found: list[Problem] = []
    definition = _definitions()[kind]
    hidden = without or {}
    if isinstance(value, dict):
        found += [Problem(f".{name}", reason) for name, reason in hidden.items() if name in value]
        value = {name: field for name, field in value.items() if name not in hidden}
        definition = {
            **definition,
            "required": [name for name in definition.get("required", ()) if name not in hidden],
        }
    _walk(definition, value, "", lambda path, message: found.append(Problem(path, message)))
    yield from found


def _walk(schema: Schema, value: Any, path: str, report: Callable[[str, str], None]) -> None:
    if "$ref" in schema:
        schema = _definitions()[schema["$ref"]]
    if schema.get("x-kubernetes-int-or-string"):
        _check_int_or_string(schema, value, path, report)
        return
    expected: str = schema["type"]
    if not isinstance(value, _TYPES[expected]) or (isinstance(value, bool) and expected != "boolean"):
        report(path, f"must be {_article(expected)}, not {_shown(value)}")
    elif expected == "object":
        _walk_object(schema, value, path, report)
    elif expected == "array":
        for index, item in enumerate(value):
            _walk(schema["items"], item, f"{path}[{index}]", report)


def _walk_object(schema: Schema, value: Mapping[str, Any], path: str, report: Callable[[str, str], None]) -> None:
    properties: Schema = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            report(f"{path}.{name}", "is required")
    for name, field in value.items():
        if name in properties:
            _walk(properties[name], field, f"{path}.{name}", report)
        elif "additionalProperties" in schema:
            _walk(schema["additionalProperties"], field, f"{path}.{name}", report)
        else:
            report(f"{path}.{name}", f"unknown field{did_you_mean(str(name), tuple(properties))}")


def _check_int_or_string(schema: Schema, value: Any, path: str, report: Callable[[str, str], None]) -> None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        report(path, f"must be an integer or a string, not {_shown(value)}; put a fraction in quotes")
    elif isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        report(path, f"must be a quantity such as 500m, 2, 128Mi or 1.5Gi, not {value!r}")


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "aio" else f"a {name}"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else text[:37] + "..."
