"""The examples of docs/expressions.md do what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fairlead.engine.expressions import Declarations
from fairlead.engine.model import Json, Scope, ValueType
from fairlead.expr.cel import CelEvaluator
from fairlead.expr.functions import FUNCTIONS, METHODS

PAGE = (Path(__file__).parents[3] / "docs" / "expressions.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = [
    (line.rpartition("//")[0].strip(), line.rpartition("//")[2])
    for language, block in BLOCKS
    if language == "cel"
    for line in block.splitlines()
]


def types(declared: dict[str, Json]) -> dict[str, ValueType | None]:
    return {name: ValueType(entry["type"]) for name, entry in declared.items()}


def values(declared: dict[str, Json]) -> dict[str, Json]:
    return {name: entry["value"] for name, entry in declared.items() if "value" in entry}


def environment() -> tuple[Declarations, Scope]:
    given = json.loads(next(block for language, block in BLOCKS if language == "json"))
    tasks = given["tasks"]
    declarations = Declarations(
        params=types(given["params"]), tasks={name: types(task["outputs"]) for name, task in tasks.items()}
    )
    outputs = {name: {"phase": task["phase"], "outputs": values(task["outputs"])} for name, task in tasks.items()}
    return declarations, {"params": values(given["params"]), "tasks": outputs, "run": given["run"]}


@pytest.mark.parametrize(("source", "expected"), EXAMPLES, ids=[source for source, _ in EXAMPLES])
def test_example(source: str, expected: str) -> None:
    declarations, scope = environment()
    result = CelEvaluator().compile(source, declarations).evaluate(scope)
    wanted = json.loads(expected)
    assert result == wanted
    assert type(result) is type(wanted)


OURS = (
    *("sum", "min", "max", "avg", "sort", "distinct", "flatten", "join"),
    *("toJson", "fromJson"),
    "dateAdd",
    "dateFormat",
)


@pytest.mark.parametrize("name", OURS)
def test_every_function_of_ours_has_an_example(name: str) -> None:
    assert name in FUNCTIONS | METHODS
    assert any(f"{name}(" in source for source, _ in EXAMPLES)
