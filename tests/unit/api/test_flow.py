"""`forEach` and `repeat`: what they become, what expressions see of them, and what is wrong with one."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.definitions import compiled, node, problems, scope, spec, task

from fairlead.engine.model import ForEach, Repeat, Tolerance

REGIONS = {"name": "regions", "type": "array", "items": {"type": "string"}, "default": ["eu", "us"]}
ROWS = [{"name": "rows", "type": "integer"}]


def env(source: str) -> list[dict[str, str]]:
    return [{"name": "A", "value": f"${{{source}}}"}]


def each(items: Any, source: str = "item", **fields: Any) -> dict[str, Any]:
    """A task `a` for each item of a list, with one expression."""
    return task(env=env(source), forEach={"in": items, **fields})


def value(definition: dict[str, Any], **names: Any) -> str:
    """What the expression of the task comes to."""
    work = node(definition).work.evaluate(scope(definition, **names))
    [variable] = work["container"]["env"]
    return str(variable["value"])


class TestForEach:
    def test_is_handed_to_the_engine(self) -> None:
        fields = {"as": "region", "maxParallel": 3, "tolerate": {"percent": 10}, "batchSize": 2}
        made = node(spec(each("${params.regions}", "region.size()", **fields), params=[REGIONS])).for_each
        assert isinstance(made, ForEach)
        assert made.items.evaluate({"params": {"regions": ["x"]}}) == ["x"]
        assert (made.variable, made.max_parallel, made.tolerance) == ("region", 3, Tolerance(percent=10))
        assert (made.batch_size, made.limit, made.when) == (2, 10_000, None)

    def test_has_the_engines_defaults(self) -> None:
        made = node(spec(each([1, 2]))).for_each
        assert made is not None
        assert made == ForEach(items=made.items)

    def test_a_list_may_be_written_out_with_expressions_in_it(self) -> None:
        definition = spec(each(["x", "${run.name}", None, {"a": None}]))
        made = node(definition).for_each
        assert made is not None
        assert made.items.evaluate(scope(definition)) == ["x", "demo", None, {"a": None}]

    @pytest.mark.parametrize(
        ("source", "expected"), [("item", "eu"), ("region", "eu"), ("index", "1"), ("region + string(index)", "eu1")]
    )
    def test_the_task_sees_its_item(self, source: str, expected: str) -> None:
        definition = spec(each("${params.regions}", source, **{"as": "region"}), params=[REGIONS])
        assert value(definition, item="eu", region="eu", index=1) == expected

    def test_the_condition_of_items_sees_them_too(self) -> None:
        made = node(spec(each([1, 2], when="${item > 1 && index < 5}"))).for_each
        assert made is not None
        assert made.when is not None
        assert [made.when.evaluate({"item": item, "index": 0}) for item in (1, 2)] == [False, True]

    @pytest.mark.parametrize(
        ("items", "fields", "source", "message"),
        [
            ([1, 2], {}, "item + 'x'", "'+' does not take integer and string"),
            ([1, 2.5], {}, "item + 'x'", "'+' does not take number and string"),
            (["x", "a ${run.name}"], {}, "item + 1", "'+' does not take string and integer"),
            ([True], {}, "item + 1", "'+' does not take boolean and integer"),
            ([[1]], {}, "item + 1", "'+' does not take array and integer"),
            ([{"a": 1}], {}, "item + 1", "'+' does not take object and integer"),
            ("${params.regions}", {}, "item + 1", "'+' does not take string and integer"),
            ("${params.regions}", {"batchSize": 2}, "item + 1", "'+' does not take array and integer"),
        ],
    )
    def test_the_type_of_an_item_is_known(self, items: Any, fields: Any, source: str, message: str) -> None:
        found = problems(spec(each(items, source, **fields), params=[REGIONS]))
        assert found["spec.tasks[0].env[0].value"].startswith(message)

    @pytest.mark.parametrize("items", [[1, "x"], ["x", "${run.attempt}"], "${[1, 2]}", "${ params.regions + [] }"])
    def test_or_it_is_not_and_checked_when_it_runs(self, items: Any) -> None:
        assert not problems(spec(each(items, "item + 1"), params=[REGIONS]))

    @pytest.mark.parametrize(
        ("definition", "path", "message"),
        [
            (
                each("eu,us"),
                "forEach.in",
                'must be a list, or one expression ${…} that gives one, not "eu,us"',
            ),
            (each({"a": 1}), "forEach.in", "must be a list, or one expression ${…} that gives one, not {"),
            (each("${run.name}"), "forEach.in", "must be a list, but the expression is of type string"),
            (each("a ${run.name}"), "forEach.in", "must be a list, but the expression is of type string"),
            (each("${params.regoins}"), "forEach.in", "no parameter 'regoins'; did you mean 'regions'?"),
            (each(["${run.nam}"]), "forEach.in[0]", "run has no field 'nam'; did you mean 'name'?"),
            (each(list(range(10_001))), "forEach.in", "10,001 items; there may be 10,000: hand on fewer and larger"),
            (each([1], **{"as": "params"}), "forEach.as", "must be another name: 'params' has a meaning of its own"),
            (each([1], **{"as": "index"}), "forEach.as", "must be another name: 'index' has a meaning of its own"),
            (each([1], **{"as": "in"}), "forEach.as", "must be another name: 'in' has a meaning of its own"),
            (each([1], **{"as": "__x"}), "forEach.as", "must be another name: '__x' has a meaning of its own"),
            (each([1], **{"as": "a-b"}), "forEach.as", "must consist of letters, digits and '_'"),
            (each([1], tolerate={}), "forEach.tolerate", "must have exactly one of `count` and `percent`"),
            (
                each([1], tolerate={"count": 1, "percent": 1}),
                "forEach.tolerate",
                "must have exactly one of `count` and `percent`",
            ),
            (each([1], tolerate={"percent": 101}), "forEach.tolerate.percent", "must be less than or equal to 100"),
            (each([1], maxParallel=0), "forEach.maxParallel", "must be greater than or equal to 1"),
            (each([1], when="${item}"), "forEach.when", "must be true or false, but the expression is of type integer"),
            (each([1], when="true"), "forEach.when", "must be an expression, such as ${true}"),
            (
                task(forEach={"in": [1]}, when="${item > 1}"),
                "when",
                "no variable 'item' here: there is one only in a task with `forEach`, but not in its `when` or",
            ),
            (task(env=env("item")), "env[0].value", "no variable 'item' here: there is one only in a task with"),
            (each("${item}"), "forEach.in", "no variable 'item' here"),
        ],
    )
    def test_says_what_is_wrong(self, definition: dict[str, Any], path: str, message: str) -> None:
        found = problems(spec(definition, params=[REGIONS]))
        assert list(found) == [f"spec.tasks[0].{path}"]
        assert found[f"spec.tasks[0].{path}"].startswith(message)

    def test_its_outputs_are_lists_to_others(self) -> None:
        each_rows = task("a", outputs=ROWS, forEach={"in": [1]})
        reads = task("b", needs=["a"], when="${tasks.a.outputs.rows.sum() > 0}")
        assert not problems(spec(each_rows, reads))
        wrong = problems(spec(each_rows, {**reads, "when": "${tasks.a.outputs.rows > 0}"}))
        assert wrong["spec.tasks[1].when"].startswith("'>' does not take array and integer")

    @pytest.mark.parametrize("field", ["in", "when"])
    def test_what_the_list_and_its_condition_read_is_a_dependency(self, field: str) -> None:
        sources = {"in": "${tasks.first.outputs.list}", "when": "${tasks.first.outputs.list.size() > index}"}
        first = task("first", outputs=[{"name": "list", "type": "array"}])
        graph = compiled(spec(first, task(forEach={"in": [1], field: sources[field]}))).graph
        assert (graph.nodes["a"].needs, graph.nodes["a"].reads) == (("first",), ("first",))


class TestRepeat:
    def test_is_handed_to_the_engine(self) -> None:
        repeat = {"until": "${outputs.rows == 0 || iteration > 3}", "maxIterations": 5, "delaySeconds": 7}
        made = node(spec(task(outputs=ROWS, repeat=repeat))).repeat
        assert made is not None
        assert made == Repeat(until=made.until, max_iterations=5, delay_seconds=7)
        assert made.until.evaluate({"outputs": {"rows": 0}, "iteration": 1}) is True

    def test_a_round_sees_the_one_before(self) -> None:
        source = "string(iteration) + ':' + string(previous.?rows.orValue(0))"
        definition = spec(
            task(outputs=ROWS, env=env(source), repeat={"until": "${outputs.rows > 9}", "maxIterations": 5})
        )
        assert value(definition, iteration=1, previous={}) == "1:0"
        assert value(definition, iteration=2, previous={"rows": 4}) == "2:4"

    def test_goes_with_items(self) -> None:
        repeat = {"until": "${outputs.rows >= item}", "maxIterations": 5}
        source = "item + index + iteration"
        definition = spec(task(outputs=ROWS, env=env(source), forEach={"in": [1]}, repeat=repeat))
        assert value(definition, item=1, index=2, iteration=3) == "6"

    @pytest.mark.parametrize(
        ("fields", "path", "message"),
        [
            ({"repeat": {"maxIterations": 3}}, "repeat.until", "is required"),
            ({"repeat": {"until": "${true}"}}, "repeat.maxIterations", "is required"),
            (
                {"repeat": {"until": "${outputs.rows}", "maxIterations": 3}},
                "repeat.until",
                "must be true or false, but the expression is of type integer",
            ),
            (
                {"repeat": {"until": "${outputs.row == 0}", "maxIterations": 3}},
                "repeat.until",
                "outputs has no field 'row'; did you mean 'rows'?",
            ),
            (
                {"repeat": {"until": "${previous.?rows.orValue(0) == 0}", "maxIterations": 3}},
                "repeat.until",
                "no variable 'previous' here: there is one only in a task with `repeat`, but not in its",
            ),
            (
                {"repeat": {"until": "${true}", "maxIterations": 3}, "env": env("previous.rows")},
                "env[0].value",
                "there is nothing before the first round: read it as previous.?rows.orValue(…)",
            ),
            ({"env": env("iteration")}, "env[0].value", "no variable 'iteration' here: there is one only in a task"),
            ({"env": env("outputs.rows")}, "env[0].value", "no variable 'outputs' here: there is one only in"),
        ],
    )
    def test_says_what_is_wrong(self, fields: dict[str, Any], path: str, message: str) -> None:
        found = problems(spec(task(outputs=ROWS, **fields)))
        assert list(found) == [f"spec.tasks[0].{path}"]
        assert found[f"spec.tasks[0].{path}"].startswith(message)

    def test_what_its_condition_reads_is_a_dependency(self) -> None:
        repeat = {"until": "${outputs.rows > tasks.first.outputs.rows}", "maxIterations": 3}
        graph = compiled(spec(task("first", outputs=ROWS), task(outputs=ROWS, repeat=repeat))).graph
        assert graph.nodes["a"].needs == ("first",)
