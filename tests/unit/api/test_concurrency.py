"""`concurrencyKey`: what it sees, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.definitions import compiled, problems, spec, task

from fairlead.api.concurrency import OnConflict
from fairlead.engine.expressions import ExpressionError

PARAMS = [{"name": "day", "default": "2026-11-22"}, {"name": "n", "type": "integer", "default": 3}]


def keyed(key: Any, **more: Any) -> dict[str, Any]:
    return spec(task("a", outputs=[{"name": "x"}]), params=PARAMS, concurrencyKey={"key": key, **more})


def key_of(definition: dict[str, Any]) -> str:
    found = compiled(definition)
    assert found.concurrency is not None
    return found.concurrency.evaluate(found.graph.params, name="daily", namespace="ns", uid="u-1")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sales", "sales"),
        ("sales-${params.day}", "sales-2026-11-22"),
        ("${params.n}", "3"),
        ("${run.namespace}/${run.name}/${run.uid}", "ns/daily/u-1"),
    ],
)
def test_a_key(key: str, value: str) -> None:
    assert key_of(keyed(key)) == value


def test_what_is_left_out() -> None:
    found = compiled(keyed("x")).concurrency
    assert found is not None
    assert (found.limit, found.on_conflict) == (1, OnConflict.QUEUE)
    found = compiled(keyed("x", limit=3, onConflict="Replace")).concurrency
    assert found is not None
    assert (found.limit, found.on_conflict) == (3, OnConflict.REPLACE)
    assert compiled(spec()).concurrency is None


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ({}, "key", "is required"),
        ({"key": "x", "limit": 0}, "limit", "greater than or equal to 1"),
        ({"key": "x", "onConflict": "Stop"}, "onConflict", "must be one of Queue, Replace, Refuse"),
        ({"key": "${params.nobody}"}, "key", "nobody"),
        ({"key": "${tasks.a.outputs.x}"}, "key", "must not refer to tasks: the key is needed before the first of them"),
        ({"key": "${run.startTime}"}, "key", "must not read other than run.name, run.namespace and run.uid of `run`"),
    ],
)
def test_what_is_wrong_with_it(given: dict[str, Any], field: str, message: str) -> None:
    definition = keyed("x")
    definition["concurrencyKey"] = given
    found = problems(definition)
    assert list(found) == [f"spec.concurrencyKey.{field}"]
    assert message in found[f"spec.concurrencyKey.{field}"]


@pytest.mark.parametrize(("key", "characters"), [("${params.day.substring(10)}", 0), ("x" * 254, 254)])
def test_a_key_of_too_few_or_too_many_characters(key: str, characters: int) -> None:
    with pytest.raises(ExpressionError, match=rf"spec\.concurrencyKey\.key: .* and has {characters}"):
        key_of(keyed(key))
