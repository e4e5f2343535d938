"""Values of parameters from the command line, read by the type that the workflow declares."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fairlead.api.problems import did_you_mean
from fairlead.cli.exits import CliError

__all__ = ["read_value", "read_values", "split_assignments", "with_arguments"]


def split_assignments(given: Iterable[str], option: str) -> dict[str, str]:
    """Return `NAME=VALUE` texts as a mapping; the later of two wins. Raises :class:`CliError`."""
    found = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign or not name:
            raise CliError(f"{option} {each}: write NAME=VALUE")
        found[name] = value
    return found


def with_arguments(spec: Mapping[str, Any], from_file: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec with its `arguments` replaced by those of the command line, name by name.

    `from_file` has values as they are, `texts` (which win) what was typed. Whether a value fits is left to the compile
    step, which knows all the rules. Raises :class:`CliError` for a parameter that is not declared, or a
    text that cannot be read as its type.
    """
    declared = {param["name"]: param.get("type", "string") for param in spec.get("params") or () if "name" in param}
    for name in (*from_file, *texts):
        if name not in declared:
            known = ", ".join(declared) or "it declares none"
            raise CliError(
                f"no parameter is called {name!r}{did_you_mean(name, list(declared))}", hint=f"known: {known}"
            )
    values = {argument["name"]: argument.get("value") for argument in spec.get("arguments") or ()}
    values |= from_file
    values |= {name: read_value(name, text, declared[name]) for name, text in texts.items()}
    if not values:
        return dict(spec)
    return {**spec, "arguments": [{"name": name, "value": value} for name, value in values.items()]}


def read_values(given: Iterable[str], declared: Mapping[str, str], option: str) -> dict[str, Any]:
    """Return what was typed as `NAME=VALUE`, read by the `declared` type of each name.

    Of a name that is not declared, or whose declaration is not known here, JSON is read as such and anything else is
    taken for a string. Raises :class:`CliError`.
    """
    return {
        name: read_value(name, text, declared[name], option) if name in declared else _guess(text)
        for name, text in split_assignments(given, option).items()
    }


def _guess(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def read_value(name: str, text: str, type_: str, option: str = "-p") -> Any:
    """Return a text as a value of a type; JSON, unless that is `string`. Raises :class:`CliError`."""
    if type_ == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        example = {"boolean": "true", "array": '["a","b"]', "object": '{"a":1}', "integer": "7"}.get(type_, "0.5")
        raise CliError(f"{option} {name}: {text!r} is no {type_}; write JSON, such as '{example}'") from None
