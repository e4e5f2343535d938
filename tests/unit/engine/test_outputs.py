"""What a task may write to its outputs file, and how it is told what was wrong."""

import json

import pytest
from tests.unit.engine.kit import bench, declared, node, retries, succeeded

from fairlead.engine.model import Json, OutputDeclaration, OutputSource, ValueType
from fairlead.engine.outputs import TEXT_LIMIT, OutputError, check_values, has_type, read_outputs

ANY = [declared("x", type_) for type_ in ValueType]
ROWS = [declared("rows")]
TEXT = [declared("x", ValueType.STRING)]
OBJECT = [declared("x", ValueType.OBJECT)]
LIST = [declared("x", ValueType.ARRAY)]
NUMBER = [declared("x", ValueType.NUMBER)]


@pytest.mark.parametrize(
    ("outputs", "text", "values"),
    [
        pytest.param([], "no JSON at all", {}, id="nothing is declared: nothing is read"),
        pytest.param([], "x" * TEXT_LIMIT, {}, id="nothing is declared: any size"),
        pytest.param(ROWS, '{"rows": 3}', {"rows": 3}, id="declared and written"),
        pytest.param(ROWS, ' {"rows": 3}\n', {"rows": 3}, id="space around it"),
        pytest.param(ROWS, '{"rows": 3, "more": 4}', {"rows": 3}, id="undeclared members are left out"),
        pytest.param(ROWS, '{"rows": 3.0}', {"rows": 3}, id="3.0 is an integer"),
        pytest.param([declared("x", has_default=True, default=7)], "", {"x": 7}, id="a default for an empty file"),
        pytest.param([declared("x", has_default=True)], "{}", {"x": None}, id="a default of null"),
        pytest.param([declared("x", has_default=True, default=7)], '{"x": 1}', {"x": 1}, id="written beats default"),
        pytest.param(OBJECT, '{"x": {"a": [1, null]}}', {"x": {"a": [1, None]}}, id="nested"),
        pytest.param(TEXT, '{"x": "\\ud83d\\ude00"}', {"x": "😀"}, id="a surrogate pair"),
        pytest.param(ROWS, f'{{"rows": {2**63 - 1}}}', {"rows": 2**63 - 1}, id="the greatest integer"),
    ],
)
def test_reads(outputs: list[OutputDeclaration], text: str, values: Json) -> None:
    assert read_outputs(outputs, text) == values


@pytest.mark.parametrize(
    ("outputs", "text", "reason", "message"),
    [
        pytest.param(ROWS, "", "OutputMissing", r"did not write its output 'rows'.*FAILTEXT", id="empty file"),
        pytest.param(ROWS, "{}", "OutputMissing", "give it a default", id="missing member"),
        pytest.param(ROWS, "rows=3", "OutputInvalid", "not JSON", id="not JSON"),
        pytest.param(ROWS, "[1]", "OutputInvalid", r"must be one JSON object, the task wrote \[1\]", id="no object"),
        pytest.param(ROWS, '{"rows": 1} {"rows": 2}', "OutputInvalid", "not JSON", id="two objects"),
        pytest.param(
            ROWS, '{"rows": "3"}', "OutputInvalid", 'declared as integer, the task wrote "3"', id="wrong type"
        ),
        pytest.param(ROWS, '{"rows": true}', "OutputInvalid", "declared as integer", id="true is no integer"),
        pytest.param(ROWS, '{"rows": null}', "OutputInvalid", "declared as integer", id="null is no integer"),
        pytest.param(NUMBER, '{"x": NaN}', "OutputInvalid", "NaN is not a JSON value", id="NaN"),
        pytest.param(NUMBER, '{"x": 1e999}', "OutputInvalid", "number that is too large", id="infinity in disguise"),
        pytest.param(ROWS, f'{{"rows": {2**63}}}', "OutputInvalid", "more than 64 bits", id="an integer too large"),
        pytest.param(ROWS, '{"rows": 1e300}', "OutputInvalid", "more than 64 bits", id="a float too large an integer"),
        pytest.param(OBJECT, f'{{"x": {{"a": [{2**64}]}}}}', "OutputInvalid", "64 bits", id="too large, inside"),
        pytest.param(TEXT, '{"x": "\\ud800"}', "OutputInvalid", "surrogate", id="half a surrogate pair"),
        pytest.param(OBJECT, '{"x": {"\\udc00": 1}}', "OutputInvalid", "surrogate", id="half a pair in a key"),
        pytest.param(
            LIST, '{"x": ' + "[" * 65 + "]" * 65 + "}", "OutputInvalid", "nested too deeply", id="nested deeply"
        ),
        pytest.param(
            LIST, '{"x": ' + "[" * 2000 + "]" * 2000 + "}", "OutputInvalid", "nested too deeply", id="bottomless"
        ),
        pytest.param(
            TEXT, json.dumps({"x": "y" * 4096}), "OutputTooLarge", "4095 bytes; write large data", id="too large"
        ),
        pytest.param(
            TEXT,
            json.dumps({"x": "ü" * 2044}, ensure_ascii=False),
            "OutputTooLarge",
            "4095 bytes",
            id="too large in bytes, not in characters",
        ),
    ],
)
@pytest.mark.row("C1")
@pytest.mark.row("fine:outputs")
def test_refuses(outputs: list[OutputDeclaration], text: str, reason: str, message: str) -> None:
    with pytest.raises(OutputError, match=message.replace("FAILTEXT", "FAIRLEAD_OUTPUTS")) as caught:
        read_outputs(outputs, text)
    assert caught.value.reason == reason
    assert len(caught.value.message) < 200


@pytest.mark.row("fine:outputs")
def test_one_byte_less_than_the_limit_is_read() -> None:
    text = json.dumps({"x": ""})
    text = json.dumps({"x": "y" * (TEXT_LIMIT - 1 - len(text))})
    assert len(text) == TEXT_LIMIT - 1
    assert read_outputs(TEXT, text)


# What comes from what the task printed.


def printed(type_: ValueType = ValueType.STRING, **more: Json) -> list[OutputDeclaration]:
    return [OutputDeclaration(name="x", type=type_, source=OutputSource.STDOUT, **more)]


LINES, COUNT = printed(), printed(ValueType.INTEGER)
OPTIONAL = printed(has_default=True, default="none")


@pytest.mark.parametrize(
    ("outputs", "stdout", "value"),
    [
        pytest.param(LINES, "s3://a/b\n", "s3://a/b", id="without the newline at its end"),
        pytest.param(LINES, "a\r\n", "a", id="nor that of Windows"),
        pytest.param(LINES, "a\n\n", "a\n", id="one newline, not all"),
        pytest.param(LINES, " a b ", " a b ", id="space stays"),
        pytest.param(LINES, '{"x": 1}', '{"x": 1}', id="a string is not parsed"),
        pytest.param(LINES, "", "", id="nothing"),
        pytest.param(LINES, "y" * (TEXT_LIMIT - 1), "y" * (TEXT_LIMIT - 1), id="as long as may be"),
        pytest.param(OPTIONAL, "", "none", id="a default for nothing"),
        pytest.param(OPTIONAL, "\n", "", id="an empty line is not nothing"),
        pytest.param(COUNT, "42\n", 42, id="a number"),
        pytest.param(printed(ValueType.OBJECT), '{"x": [1]}', {"x": [1]}, id="the whole object, not a member"),
        pytest.param(printed(ValueType.INTEGER, has_default=True, default=7), " \n", 7, id="a default for space"),
    ],
)
def test_reads_what_was_printed(outputs: list[OutputDeclaration], stdout: str, value: Json) -> None:
    assert read_outputs(outputs, "not read", stdout) == {"x": value}


@pytest.mark.parametrize(
    ("outputs", "stdout", "reason", "message"),
    [
        pytest.param(LINES, "y" * TEXT_LIMIT, "OutputTooLarge", "all that the task prints.*4095 bytes", id="too long"),
        pytest.param(COUNT, "loading…\n42\n", "OutputInvalid", "all that the task printed, is not JSON", id="chatty"),
        pytest.param(COUNT, '"42"', "OutputInvalid", 'declared as integer, the task printed "42"', id="wrong type"),
        pytest.param(COUNT, "", "OutputMissing", "print it or give it a default", id="nothing"),
    ],
)
def test_refuses_what_was_printed(outputs: list[OutputDeclaration], stdout: str, reason: str, message: str) -> None:
    with pytest.raises(OutputError, match=message) as caught:
        read_outputs(outputs, "{}", stdout)
    assert caught.value.reason == reason


def test_a_task_may_write_some_outputs_and_print_another() -> None:
    assert read_outputs([*ROWS, *LINES], '{"rows": 3, "x": 1}', "hello\n") == {"rows": 3, "x": "hello"}


def test_a_task_may_print_what_it_likes_unless_it_is_an_output() -> None:
    assert read_outputs(ROWS, '{"rows": 3}', "y" * 10_000) == {"rows": 3}


@pytest.mark.parametrize(
    ("value", "types"),
    [
        ("a", {"string"}),
        (True, {"boolean"}),
        (3, {"integer", "number"}),
        (3.0, {"integer", "number"}),
        (3.5, {"number"}),
        ([], {"array"}),
        ({}, {"object"}),
        (None, set()),
    ],
    ids=repr,
)
def test_types(value: Json, types: set[str]) -> None:
    assert {type_.value for type_ in ValueType if has_type(value, type_)} == types


# In a run.


@pytest.mark.row("C1")
def test_outputs_reach_the_scope_of_a_child() -> None:
    on = bench(node("a", outputs=(declared("rows"),)), node("b", "a", reads=("a",)))
    on.tell(succeeded("a", text='{"rows": 3}'))
    assert on.state("a").outputs == {"rows": 3}


def test_invalid_outputs_are_a_failure_of_the_users() -> None:
    on = bench(node("a", outputs=(declared("rows"),), retry=retries(1)))
    assert on.started(succeeded("a", text="{}"), after=1) == ["a/2"]
    on.tell(succeeded("a", 2, text="{}"))
    assert (on.phase("a"), on.state("a").reason) == ("Failed", "OutputMissing")
    assert on.state("a").message.endswith("(2 failures, retry limit 1)")


def test_values_that_somebody_gives_are_taken_wherever_the_task_has_its_own_from() -> None:
    printed = [declared("rows", source=OutputSource.STDOUT)]
    assert check_values(printed, {"rows": 7}) == {"rows": 7}
    with pytest.raises(OutputError, match="there is no value for the output 'rows'"):
        check_values(printed, {})
    with pytest.raises(OutputError, match="'rows' is declared as integer, it is \"7\""):
        check_values(printed, {"rows": "7"})
