"""Expressions in CEL: what they may say, what they give, and how they are refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from fairlead.engine.expressions import Declarations, Evaluator, ExpressionError, Reference
from fairlead.engine.model import Json, ValueType
from fairlead.expr.cel import CelEvaluator

EVALUATOR = CelEvaluator()

DECLARATIONS = Declarations(
    params={
        "day": ValueType.STRING,
        "n": ValueType.INTEGER,
        "ratio": ValueType.NUMBER,
        "flag": ValueType.BOOLEAN,
        "list": ValueType.ARRAY,
        "config": ValueType.OBJECT,
        "any": None,
        "with-dash": ValueType.INTEGER,
    },
    tasks={
        "extract": {"rows": ValueType.ARRAY, "uri": ValueType.STRING, "mean": ValueType.NUMBER},
        "sign": {},
        "sign-off": {"by": ValueType.STRING},
    },
    variables={"item": None, "index": ValueType.INTEGER},
    records={
        "response": {"status": ValueType.INTEGER, "body": None, "text": ValueType.STRING},
        "previous": {"cursor": ValueType.STRING, "mean": ValueType.NUMBER},
    },
    run={"summary": ValueType.OBJECT},
)

SCOPE = {
    "params": {
        "day": "2026-11-22",
        "n": 3,
        "ratio": 1,
        "flag": True,
        "list": [1, 2, None],
        "config": {"host": "db", "deep": {"x": None}},
        "any": None,
        "with-dash": 7,
    },
    "run": {"name": "daily", "namespace": "sales", "uid": "0001", "startTime": "2026-11-22T06:30:00Z"}
    | {"attempt": 2, "summary": {"total": 7}},
    "response": {"status": 200, "body": {"id": [1]}, "text": "x"},
    "previous": {"mean": 1},
    "tasks": {
        "extract": {"phase": "Succeeded", "outputs": {"rows": [10, None, 32], "uri": "s3://x", "mean": 21}},
        "sign": {"phase": "Running", "outputs": {}},
        "sign-off": {"phase": "Skipped", "outputs": {}},
    },
    "item": {"k": 1},
    "index": 2,
}


def value(source: str, **params: Json) -> Json:
    scope = {**SCOPE, "params": {**SCOPE["params"], **params}}
    return EVALUATOR.compile(source, DECLARATIONS).evaluate(scope)


def refused(source: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        EVALUATOR.compile(source, DECLARATIONS)
    return caught.value


def fails(source: str, **params: Json) -> str:
    program = EVALUATOR.compile(source, DECLARATIONS)
    with pytest.raises(ExpressionError) as caught:
        program.evaluate({**SCOPE, "params": {**SCOPE["params"], **params}})
    return caught.value.message


def test_it_is_an_evaluator() -> None:
    evaluator: Evaluator = EVALUATOR
    assert evaluator.compile("1 + 1", Declarations()).evaluate({}) == 2


class TestNames:
    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("params.day", "2026-11-22"),
            ("params['day']", "2026-11-22"),
            ("params['with-dash'] - 1", 6),
            ("params['n']in [3]", True),
            ("params // the day\n  .day", "2026-11-22"),
            (".params.day", "2026-11-22"),
            ("tasks.extract.outputs.uri", "s3://x"),
            ("tasks['sign-off'].phase", "Skipped"),
            ("run.name + '/' + run.namespace + '/' + run.uid", "daily/sales/0001"),
            ("item.k + index", 3),
            ("response.status == 200 && response.body.id[0] == 1", True),
            ("response['text']", "x"),
            ("previous.mean / 2.0", 0.5),
            ("previous.?cursor.orValue('first')", "first"),
            ("toJson(response)", '{"body":{"id":[1]},"status":200,"text":"x"}'),
            ("run.attempt + 1", 3),
            ("run.summary.total", 7),
            ("toJson(params.config) + params.day", '{"deep":{"x":null},"host":"db"}2026-11-22'),
        ],
    )
    def test_paths(self, source: str, expected: Json) -> None:
        assert value(source) == expected

    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("params.size()", 8),
            ("params['d' + 'ay']", "2026-11-22"),
            ("tasks[params.day == '' ? '' : 'extract'].phase", "Succeeded"),
            ("tasks.extract.outputs.size()", 3),
            ("tasks.exists(name, tasks[name].phase == 'Skipped')", True),
            ("run['na' + 'me']", "daily"),
        ],
    )
    def test_whole_maps(self, source: str, expected: Json) -> None:
        assert value(source) == expected

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("params.dya", "no parameter 'dya'; did you mean 'day'?"),
            ("params.?dya", "no parameter 'dya'; did you mean 'day'?"),
            ("has(params.dya)", "no parameter 'dya'; did you mean 'day'?"),
            ("run.startTim", "run has no field 'startTim'; did you mean 'startTime'?"),
            ("tasks.extrct.phase", "no task 'extrct' in scope; did you mean 'extract'?"),
            ("tasks.extract.outputs.row", "task 'extract' has no output 'row'; did you mean 'rows'?"),
            ("tasks.extract.outputs.zzz", "task 'extract' has no output 'zzz'; there are 'mean', 'rows', 'uri'"),
            ("tasks.sign.outputs.x", "task 'sign' has no output 'x': it declares none"),
            ("tasks.extract.state", "tasks['extract'] has 'phase' and 'outputs', not 'state'"),
            ("day", "no variable 'day'; the parameter is params.day"),
            ("extract.phase", "no variable 'extract'; the task is tasks.extract"),
            ("itm", "no variable 'itm'; did you mean 'item'?"),
            ("response.code", "response has no field 'code'; there are 'body', 'status', 'text'"),
            ("responze.status", "no variable 'responze'; did you mean 'response'?"),
            ("attempt.number", "no variable 'attempt' here: there is one only in `retry.rules[].when`"),
            ("__s0", "'__s0': names that begin with '__' are reserved"),
        ],
    )
    def test_an_undeclared_name_is_refused_with_a_hint(self, source: str, message: str) -> None:
        assert refused(source).message == message

    def test_the_fields_of_a_record_have_types(self) -> None:
        assert refused("response.text + 1").message == "'+' does not take string and integer: use string(…)"

    def test_a_record_that_is_not_declared_is_none(self) -> None:
        with pytest.raises(ExpressionError, match="no variable 'response' here"):
            EVALUATOR.compile("response.status", Declarations())
        with pytest.raises(ExpressionError, match="run has no field 'summary': there is one only in `finally`"):
            EVALUATOR.compile("run.summary", Declarations())

    def test_a_shell_variable_is_met_with_the_escape(self) -> None:
        assert "a literal '${' is written '$${'" in refused("HOME").message

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            (
                "tasks.sign-off.outputs.by",
                "'tasks.sign-off' is read as a subtraction: write tasks['sign-off'].outputs.by",
            ),
            ("tasks.sign-off.phase == 'x'", "'tasks.sign-off' is read as a subtraction: write tasks['sign-off'].phase"),
            ("params.with-dash", "'params.with-dash' is read as a subtraction: write params['with-dash']"),
        ],
    )
    @pytest.mark.row("fine:names-in-cel")
    def test_a_name_with_a_dash_is_a_subtraction_and_the_error_says_so(self, source: str, message: str) -> None:
        assert refused(source).message == message

    def test_subtractions_are_still_possible(self) -> None:
        assert value("params.n-params.n") == 0
        assert value("params.n-index") == 1

    def test_a_macro_variable_may_hide_a_variable_but_not_a_root(self) -> None:
        assert value("[1, 2].map(item, item + 1)") == [2, 3]
        assert "cannot be the variable" in refused("[1].map(run, run)").message

    def test_references_are_those_of_the_source(self) -> None:
        program = EVALUATOR.compile("params.n > 1 && tasks.?extract.outputs.?uri.hasValue()", DECLARATIONS)
        assert program.references == (
            Reference(("params", "n"), 1),
            Reference(("tasks", "extract", "outputs", "uri"), 17, optional=True),
        )


class TestTypes:
    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("params.day", ValueType.STRING),
            ("params.n", ValueType.INTEGER),
            ("params.ratio", ValueType.NUMBER),
            ("params.flag && true", ValueType.BOOLEAN),
            ("params.list", ValueType.ARRAY),
            ("params.config", ValueType.OBJECT),
            ("params", ValueType.OBJECT),
            ("params.any", None),
            ("params.config.host", None),
            ("run.startTime", ValueType.STRING),
            ("duration('1s')", ValueType.STRING),
            ("tasks.sign.phase", ValueType.STRING),
            ("tasks.extract.outputs.rows.sum()", None),
            ("tasks.extract.outputs.rows.sum() > 0", ValueType.BOOLEAN),
            ("null", None),
        ],
    )
    def test_the_static_type(self, source: str, expected: ValueType | None) -> None:
        assert EVALUATOR.compile(source, DECLARATIONS).type is expected

    @pytest.mark.parametrize(
        ("source", "message", "column"),
        [
            ("params.day + 1", "'+' does not take string and integer: use string(…)", 12),
            ("1 + params.day", "'+' does not take integer and string: use string(…)", 3),
            ("params.ratio * 2", "'*' does not take number and integer: write the integer as 1.0 or double(…)", 14),
            ("params.day == null", "'==' does not take string and null: it is never null", 12),
            ("params.flag && params.n", "'&&' does not take boolean and integer", 13),
            ("!params.day", "'!' does not take a value of type string", 1),
            ("params.n in params.day", "'in' does not take integer and string", 10),
            ("params.list['a']", "a value of type array cannot be indexed by one of type string", 12),
            ("params.day.host", "a value of type string has no fields", 11),
            ("params.n.map(x, x)", "a value of type integer is nothing to iterate over", 1),
            ("params.n ? 1 : 2", "the condition of ?: is of type integer, not boolean", 10),
            ("params.flag ? 1 : 'a'", "the two branches of ?: differ in type: integer and string", 13),
            ("params.day.sum()", "sum() does not take these types: string", 12),
            ("params.n.join(',')", "join() does not take these types: integer, string", 10),
            ("params.?day + 'x'", "'+' does not take optional and string: use string(…)", 13),
            ("summ(1)", "no function 'summ'", 1),
            ("params.list.summ()", "no method 'summ'; did you mean 'sum'?", 13),
            ("sum(params.list)", "sum() is a method: write value.sum()", 1),
            ("params.list.toJson()", "toJson() is a function: write toJson(value)", 13),
            ("1 @ 2", "unexpected '@'", 3),
            ("a b", "unexpected 'b'", 3),
            ("(1 + ", "the expression ends too early", 6),
            ("", "the expression ends too early", 1),
        ],
    )
    def test_a_clash_is_refused_with_its_column(self, source: str, message: str, column: int) -> None:
        error = refused(source)
        assert (error.message, error.column) == (message, column)

    @pytest.mark.parametrize(
        ("source", "column"),
        [
            ("params['with-dash'] + nope", 23),
            ("'é😀' + nope", 8),
            ("params.day +\n\n  tasks['sign-off'].phase + nope", 43),
            ("nope + params.day", 1),
            ("params.list.join(',').foo", 22),
        ],
    )
    def test_columns_count_characters_of_the_original_source(self, source: str, column: int) -> None:
        assert refused(source).column == column

    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("params.ratio < 2", True),
            ("params.ratio == 1", True),
            ("params.n >= 2.5", True),
            ("params.n != 3.0", False),
            ("params.day.size() > params.ratio", True),
        ],
    )
    def test_numbers_of_different_types_compare(self, source: str, expected: bool) -> None:
        assert value(source) is expected

    def test_json_numbers_take_the_declared_type(self) -> None:
        assert value("params.ratio * 2.5", ratio=2) == 5.0
        assert value("params.n + 1", n=3.0) == 4
        assert value("tasks.extract.outputs.mean / 2.0") == 10.5
        assert value("toJson([params['ra' + 'tio'] / 2.0])", ratio=1) == "[0.5]"

    def test_a_value_of_another_type_than_declared_is_an_error(self) -> None:
        assert fails("params.day + 'x'", day=3) == "params.day is of type integer, not string"
        assert fails("params.n + 1", n=None) == "params.n is of type null, not integer"


class TestOptionals:
    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("tasks['sign-off'].outputs.?by.orValue('nobody')", "nobody"),
            ("tasks.?extract.outputs.?uri.orValue('')", "s3://x"),
            ("tasks[?'extract'].outputs.?uri.hasValue()", True),
            ("has(tasks['sign-off'].outputs.by) ? tasks['sign-off'].outputs.by : 'nobody'", "nobody"),
            ("params.config.?deep.?y.orValue(3)", 3),
            ("params.list[?9].orValue(0)", 0),
            ("[?params.config.?host, ?params.config.?port]", ["db"]),
            ("params.config.?host.optMap(host, host + '!').orValue('')", "db!"),
            ("tasks.sign.phase == 'Running' ? 'wait' : tasks['sign-off'].outputs.by", "wait"),
        ],
    )
    def test_values(self, source: str, expected: Json) -> None:
        assert value(source) == expected

    def test_a_missing_output_is_an_error_only_where_it_is_needed(self) -> None:
        message = fails("tasks['sign-off'].outputs.by + '!'")
        assert message == "tasks['sign-off'].outputs.by has no value: the task is Skipped"

    def test_an_optional_cannot_be_the_result(self) -> None:
        assert refused("params.?day").message == "the value may be missing: end it with .orValue(…)"
        assert fails("[params.?day]") == "the value may be missing: end it with .orValue(…)"


class TestResults:
    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("1", 1),
            ("1u", 1),
            ("1.0", 1.0),
            ("true", True),
            ("null", None),
            ("[1, 'a', null]", [1, "a", None]),
            ("{'b': [1.5], 'a': {}}", {"a": {}, "b": [1.5]}),
            ("run.startTime", "2026-11-22T06:30:00Z"),
            ("timestamp('2026-01-01T02:00:00.500+02:00')", "2026-01-01T00:00:00.5Z"),
            ("duration('1m30s')", "90s"),
            ("duration('-1500ms')", "-1.5s"),
            ("[run.startTime]", ["2026-11-22T06:30:00Z"]),
        ],
    )
    def test_they_are_plain_json(self, source: str, expected: Json) -> None:
        result = value(source)
        assert result == expected
        assert type(result) is type(expected)

    def test_the_keys_of_objects_are_sorted(self) -> None:
        assert list(value("{'b': 1, 'c': 2, 'a': {'z': 1, 'y': 2}}")) == ["a", "b", "c"]

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("b'x'", "the value is of type bytes, which JSON does not have"),
            ("type(1)", "the value is of type type, which JSON does not have"),
        ],
    )
    def test_what_json_does_not_have_is_refused(self, source: str, message: str) -> None:
        assert refused(source).message == message

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("[b'x']", "the result is of type bytes, which JSON does not have: use string(…)"),
            ("{1: 2}", "an object's keys must be strings, not 1"),
            ("1.0 / 0.0", "the result is inf, which is not a JSON number"),
            ("1 / 0", "divide by zero"),
            ("9223372036854775807 + params.n", "integer overflow"),
            ("params.config.port", "no key 'port'"),
            ("params.list[9]", "index 9 is outside a list of 3"),
            ("params.any + 1", "'+' does not take null and integer: give a default, or leave nulls out"),
            ("params.any ? 1 : 2", "a condition is not a boolean"),
            ("params.any.x", "only an object has fields"),
            ("params.config.?x.value()", "value() of something that is missing: use orValue(…)"),
            ("int(params.day)", "cannot convert string to int"),
            ("tasks['no' + 'pe'].phase", "no key 'nope'"),
        ],
    )
    def test_errors_of_an_evaluation(self, source: str, message: str) -> None:
        assert fails(source) == message


class TestFunctions:
    """What is not among the examples of docs/expressions.md."""

    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("[1, 2.5].sum()", 3.5),
            ("[null].sum()", 0),
            ("params.any.sum()", 6),
            ("[2, 1.5].min()", 1.5),
            ("[null, null].sort()", []),
            ("['b', 'a'].sort()", ["a", "b"]),
            ("[1, 1.0, true, '1', null, {'a': 1}, {'a': 1}].distinct()", [1, True, "1", {"a": 1}]),
            ("['a', 2.0, [1]].join('-')", "a-2-[1]"),
            ("params.list.map(x, x).join(',')", "1,2"),
            ("params.day.replace('-', '')", "20261122"),
            ("'aaa'.replace('a', 'b', 2) + 'aaa'.replace('a', 'b', 0)", "bbaaaa"),
            ("'ab'.replace('', '-')", "-a-b-"),
            ("toJson([1.0, null, {'b': 1, 'a': 'é'}])", '[1,null,{"a":"é","b":1}]'),
            ("toJson(run.startTime)", '"2026-11-22T06:30:00Z"'),
            ("toJson(null)", "null"),
            ("toJson(run)", json.dumps(SCOPE["run"], sort_keys=True, separators=(",", ":"))),
            ("fromJson('null')", None),
            ("dateAdd('2026-11-22T23:00:00+01:00', '2h')", "2026-11-23T00:00:00Z"),
            ("dateAdd('2026-11-22', '12h')", "2026-11-22T12:00:00Z"),
            ("dateAdd('2024-02-28', '1d')", "2024-02-29"),
            ("dateAdd(run.startTime, '-1d').getDate()", 21),
            ("dateFormat('2021-01-03', '%G-W%V-%u %j %y %%')", "2020-W53-7 003 21 %"),
            ("dateFormat(run.startTime, '%FT%T')", "2026-11-22T06:30:00"),
        ],
    )
    def test_values(self, source: str, expected: Json) -> None:
        result = value(source, any=[1, 2, 3])
        assert result == expected
        assert type(result) is type(expected)

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("[].min()", "min() of a list without values"),
            ("[null].avg()", "avg() of a list without values"),
            ("[1, 'a'].sum()", 'sum() takes numbers, not "a"'),
            ("[true].sum()", "sum() takes numbers, not true"),
            ("[1, 'a'].max()", "max() takes either numbers or strings, not both"),
            ("params.any.sum()", "sum() does not take these types: null"),
            ("dateAdd('2026-11-22', '1 day')", "dateAdd() takes an amount such as '1d', '-2w' or '1h30m', not '1 day'"),
            ("dateAdd('tomorrow', '1d')", "'tomorrow' is neither a timestamp nor a date"),
            ("dateAdd('9999-12-31', '9w')", "the date is out of range"),
            ("fromJson('NaN')", "fromJson(): NaN is not JSON"),
            ("[run.startTime].flatten()", "a list given to a function holds a timestamp or duration: use string(…)"),
        ],
    )
    def test_errors(self, source: str, message: str) -> None:
        assert fails(source) == message

    def test_an_unknown_directive_names_those_that_are_known(self) -> None:
        assert "'%Q'; it knows %Y" in fails("dateFormat(params.day, '%Q')")

    def test_half_a_surrogate_pair_is_no_text(self) -> None:
        assert "fromJson()" in fails(r"""fromJson('"\\ud800"')""")


class TestLimits:
    def test_the_length_of_a_source(self) -> None:
        assert "4,097 characters" in refused("'" + "x" * 4095 + "'").message

    def test_the_depth(self) -> None:
        assert "nests too deeply" in refused("1" + " + 1" * 40).message
        assert "nests too deeply" in refused("(" * 50 + "1" + ")" * 50).message

    def test_the_number_of_steps(self) -> None:
        assert "too many steps" in fails("params.list.all(x, x >= 0)", list=list(range(10_001)))

    def test_lists_that_macros_would_copy_are_short(self) -> None:
        assert len(value("params.list.map(x, x)", list=list(range(2_000)))) == 2_000
        assert fails("params.config.a.filter(x, true)", config={"a": [0] * 2_001}).endswith(
            "one of 2,001 in params.config"
        )

    def test_our_functions_take_long_lists(self) -> None:
        assert value("params.list.sum()", list=[1] * 10_000) == 10_000

    def test_a_result_is_bounded(self) -> None:
        assert "larger than" in fails("[params.day, params.day]", day="x" * 600_000)
        assert "larger than" in fails("params.list.join(params.day)", list=[1, 2, 3], day="x" * 600_000)

    def test_a_replacement_is_bounded_before_it_is_made(self) -> None:
        assert "larger than" in fails("params.day.replace('a', params.day).size()", day="a" * 100_000)

    def test_a_chain_that_doubles_a_value_is_refused(self) -> None:
        error = refused("['x']" + ".map(a, a + a)" * 11)
        assert error.message.startswith("the result could grow to more than 1,024 times its inputs")
        assert error.column == len("['x']" + ".map(a, a + a)" * 10) + 2
        assert value("['x']" + ".map(a, a + a)" * 3) == ["x" * 8]

    def test_deep_values_are_an_error_and_no_crash(self) -> None:
        deep: Json = 1
        for _ in range(5_000):
            deep = [deep]
        assert "nests too deeply" in fails("params.any", any=deep)
        assert "nests too deeply" in fails("params.any.map(x, x)", any=deep)

    def test_a_nul_character_is_refused_not_cut_off(self) -> None:
        assert fails("params.day", day="a\x00b") == "params.day holds a NUL character, which an expression cannot"
        assert "NUL" in fails("params.config.x", config={"x": ["\x00"]})
        assert "NUL" in fails("params.config", config={"\x00": 1})
        assert "NUL" in fails(r"""fromJson('"\\u0000"')""")
        assert value(r"'a\u0000b'") == "a\x00b"

    def test_an_integer_that_cel_does_not_have(self) -> None:
        assert fails("params.n", n=2**63) == "an integer does not fit into 64 bits"
        assert fails("params.list", list=[2**64]) == "an integer does not fit into 64 bits"

    def test_more_references_than_usual(self) -> None:
        names = [f"p{number}" for number in range(300)]
        declarations = Declarations(params=dict.fromkeys(names, ValueType.INTEGER))
        source = "[" + ",".join(f"params.{name}" for name in names) + "].sum()"
        scope = {"params": {name: number for number, name in enumerate(names)}}
        assert EVALUATOR.compile(source, declarations).evaluate(scope) == sum(range(300))


def test_the_start_time_is_a_timestamp() -> None:
    assert value("run.startTime.getFullYear()") == 2026
    assert value("run.startTime - duration('30m')") == "2026-11-22T06:00:00Z"
    assert value("run.startTime > timestamp('2026-01-01T00:00:00Z')") is True
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    program = EVALUATOR.compile("run.startTime", DECLARATIONS)
    assert program.evaluate({"run": {"startTime": moment}}) == "2026-01-01T00:00:00Z"


def test_the_same_source_may_mean_different_types() -> None:
    as_text = Declarations(params={"x": ValueType.STRING})
    as_number = Declarations(params={"x": ValueType.INTEGER})
    assert EVALUATOR.compile("params.x + params.x", as_text).evaluate({"params": {"x": "a"}}) == "aa"
    assert EVALUATOR.compile("params.x + params.x", as_number).evaluate({"params": {"x": 2}}) == 4
