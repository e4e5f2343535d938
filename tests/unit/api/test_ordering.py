"""Who comes before whom: `needs`, groups, references, and what a reference may rely on."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.definitions import compiled, problems, spec, task, warnings

from fairlead.api import ordering
from fairlead.engine.model import TriggerRule

ROWS = [{"name": "rows", "type": "integer"}]


def reading(source: str, **fields: Any) -> dict[str, Any]:
    """A task `b` with one expression."""
    return task("b", env=[{"name": "A", "value": f"${{{source}}}"}], **fields)


def needs(definition: dict[str, Any], name: str = "b") -> tuple[str, ...]:
    return compiled(definition).graph.nodes[name].needs


def test_needs_name_tasks() -> None:
    assert needs(spec(task("a"), task("b", needs=["a"]))) == ("a",)


def test_needs_name_groups() -> None:
    members = [task(f"m{index}", group="all") for index in range(3)]
    assert needs(spec(task("b", needs=["all", "m1"]), *members)) == ("m0", "m1", "m2")


@pytest.mark.parametrize(
    ("definition", "path", "message"),
    [
        (
            spec(task("extract"), task("b", needs=["extrct"])),
            "spec.tasks[1].needs[0]",
            "no task named 'extrct'; did you mean 'extract'?",
        ),
        (
            spec(task("a", group="load"), task("b", needs=["laod"])),
            "spec.tasks[1].needs[0]",
            "no task or group named 'laod'; did you mean 'load'?",
        ),
        (spec(task("b", needs=["b"])), "spec.tasks[0].needs[0]", "task 'b' cannot need itself"),
        (
            spec(task("b", group="g", needs=["g"])),
            "spec.tasks[0].needs[0]",
            "task 'b' cannot need the group 'g', of which it is a member",
        ),
        (
            spec(task("a"), task("b", group="a")),
            "spec.tasks[1].group",
            "must not be 'a', which is the name of a task",
        ),
        (
            spec(task("a"), task("a")),
            "spec.tasks[1].name",
            "spec.tasks[0] is named 'a', too; names must be unique",
        ),
        (
            spec(task("a", needs=["c"]), task("b", needs=["a"]), task("c", needs=["b"])),
            "spec.tasks[0].needs",
            "the tasks form a cycle, each needing the next: a → c → b → a; remove one of these dependencies",
        ),
        (
            spec(task("a", outputs=ROWS, needs=["b"]), reading("tasks.a.outputs.rows")),
            "spec.tasks[0].needs",
            "the tasks form a cycle, each needing the next: a → b → a; remove one of these dependencies",
        ),
        (
            spec(reading("tasks.b.phase")),
            "spec.tasks[0].env[0].value",
            "task 'b' cannot read its own phase or outputs",
        ),
        (
            spec(reading("toJson(tasks)")),
            "spec.tasks[0].env[0].value",
            "must name the task it reads, as in tasks['NAME'], so that its order is known",
        ),
        (
            spec(task("a"), taskDefaults={"env": [{"name": "A", "value": "${tasks.a.phase}"}]}),
            "spec.taskDefaults.env[0].value",
            "must not refer to tasks: the defaults are the same for all of them",
        ),
    ],
)
@pytest.mark.row("A1")
def test_says_what_is_wrong(definition: dict[str, Any], path: str, message: str) -> None:
    assert problems(definition) == {path: message}


@pytest.mark.row("fine:references")
def test_a_reference_is_a_dependency_and_lint_says_so() -> None:
    definition = spec(task("a", outputs=ROWS), reading("tasks.a.outputs.rows"))
    assert needs(definition) == ("a",)
    assert warnings(definition) == {
        "spec.tasks[1].env[0].value": "reads task 'a', and so comes after it; add it to `needs` to show that"
    }


@pytest.mark.parametrize(
    ("trigger", "needs", "warned"),
    [
        pytest.param("OneFailed", [], True, id="an alarm without anything to look at"),
        pytest.param("OneFailed", ["a"], False, id="with"),
        pytest.param("AllSucceeded", [], False, id="the default, written out"),
        pytest.param("Always", [], False, id="what runs in any case anyway"),
    ],
)
def test_a_trigger_that_looks_at_no_task_is_warned_of(trigger: str, needs: list[str], warned: bool) -> None:
    found = warnings(spec(task("a"), task("alarm", needs=needs, trigger=trigger)))
    message = "looks at no task, so 'alarm' runs in any case; name some in `needs`"
    assert found == ({"spec.tasks[1].trigger": message} if warned else {})


def test_a_reference_to_what_comes_before_adds_nothing() -> None:
    definition = spec(
        task("a", outputs=ROWS), task("between", needs=["a"]), reading("tasks.a.outputs.rows", needs=["between"])
    )
    assert needs(definition) == ("between",)
    assert not warnings(definition)


def test_only_tasks_that_are_read_are_in_the_scope() -> None:
    definition = spec(task("a", outputs=ROWS), task("c"), reading("tasks.a.outputs.rows", needs=["a", "c"]))
    assert compiled(definition).graph.nodes["b"].reads == ("a",)


@pytest.mark.parametrize("rule", [rule for rule in TriggerRule if rule is not TriggerRule.ALL_SUCCEEDED])
@pytest.mark.row("fine:references")
def test_an_output_that_may_be_missing_must_be_read_so(rule: TriggerRule) -> None:
    plain = spec(task("a", outputs=ROWS), reading("tasks.a.outputs.rows", needs=["a"], trigger=rule.value))
    assert "read it as tasks.a.outputs.?rows.orValue(…)" in problems(plain)["spec.tasks[1].env[0].value"]
    optional = reading("tasks.a.outputs.?rows.orValue(0)", needs=["a"], trigger=rule.value)
    assert not problems(spec(task("a", outputs=ROWS), optional))


def test_what_a_parent_could_rely_on_can_be_relied_on() -> None:
    between = task("between", needs=["a"])
    read = reading("tasks.a.outputs.rows", needs=["between"])
    assert not problems(spec(task("a", outputs=ROWS), between, read))
    assert problems(spec(task("a", outputs=ROWS), {**between, "trigger": "AllDone"}, read))


def test_a_phase_is_always_there() -> None:
    assert not problems(spec(task("a"), reading("tasks.a.phase", needs=["a"], trigger="AllDone")))


def result(source: str, *tasks: dict[str, Any]) -> dict[str, Any]:
    return spec(*tasks, outputs=[{"name": "r", "value": f"${{{source}}}"}])


def test_results_of_the_run_keep_their_type() -> None:
    graph = compiled(result("tasks.a.outputs.rows", task("a", outputs=ROWS))).graph
    scope = {"params": {}, "run": {}, "tasks": {"a": {"phase": "Succeeded", "outputs": {"rows": 7}}}}
    assert [(name, value.evaluate(scope)) for name, value in graph.outputs] == [("r", 7)]
    assert graph.reads == ("a",)


@pytest.mark.parametrize(
    "skippable",
    [
        [task("a", outputs=ROWS, when="${run.name == 'x'}")],
        [task("b", when="${run.name == 'x'}"), task("a", outputs=ROWS, needs=["b"])],
        [task("b"), task("a", outputs=ROWS, needs=["b"], trigger="OneFailed")],
        [task("a", outputs=ROWS, skipExitCodes=[99])],
        [task("b", forEach={"in": []}), task("a", outputs=ROWS, needs=["b"])],
        [task("b", forEach={"in": [1], "when": "${item > 1}"}), task("a", outputs=ROWS, needs=["b"])],
        [task("a", outputs=ROWS), task("b", needs=["a"], trigger="OneFailed", handles=True)],
        [
            task("root"),
            task("a", outputs=ROWS, needs=["root"]),
            task("b", needs=["root"], trigger="OneFailed", handles=True),
        ],
        [
            task("a", outputs=ROWS),
            task("c", needs=["a"]),
            task("b", needs=["c"], trigger="AllDone", handles=True),
        ],
    ],
)
def test_a_result_of_a_task_that_may_not_have_succeeded_must_be_read_so(skippable: list[dict[str, Any]]) -> None:
    found = problems(result("tasks.a.outputs.rows", *skippable))["spec.outputs[0].value"]
    assert found.startswith("task 'a' may not have Succeeded in a run that does, so its output may be missing: read it")
    assert not problems(result("tasks.a.outputs.?rows.orValue(0)", *skippable))


def test_a_list_that_is_written_out_is_never_skipped() -> None:
    listed = task("b", forEach={"in": [1]})
    assert not problems(result("tasks.a.outputs.rows", listed, task("a", outputs=ROWS, needs=["b"])))


CONTINUED = task(
    "a", outputs=[{"name": "rows", "type": "integer"}, {"name": "n", "default": "x"}], onFailure="Continue"
)


class TestOnFailureContinue:
    """The task stays Failed, but what comes after it goes on with the defaults of its outputs."""

    def test_an_output_with_a_default_is_there(self) -> None:
        assert not problems(spec(CONTINUED, reading("tasks.a.outputs.n", needs=["a"])))
        assert not problems(result("tasks.a.outputs.n", CONTINUED))

    def test_an_output_without_one_may_be_missing(self) -> None:
        message = (
            "task 'a' may have failed (`onFailure: Continue`) and output 'rows' has no default, so its output may be "
            "missing: give it one, or read it as tasks.a.outputs.?rows.orValue(…)"
        )
        read = reading("tasks.a.outputs.rows", needs=["a"])
        assert problems(spec(CONTINUED, read)) == {"spec.tasks[1].env[0].value": message}
        assert problems(result("tasks.a.outputs.rows", CONTINUED)) == {"spec.outputs[0].value": message}
        assert not problems(spec(CONTINUED, reading("tasks.a.outputs.?rows.orValue(0)", needs=["a"])))

    def test_one_with_items_hands_on_lists_whatever_happens(self) -> None:
        listed = {**CONTINUED, "forEach": {"in": [1]}}
        assert not problems(spec(listed, reading("tasks.a.outputs.rows.sum()", needs=["a"])))

    def test_what_it_relied_on_is_there(self) -> None:
        first, last = task("first", outputs=ROWS), reading("tasks.first.outputs.rows", needs=["a"])
        assert not problems(spec(first, {**CONTINUED, "needs": ["first"]}, last))

    def test_what_comes_after_it_is_sure_in_a_run_that_succeeds(self) -> None:
        after = task("b", outputs=ROWS, needs=["a"])
        assert not problems(result("tasks.b.outputs.rows", CONTINUED, after))

    def test_a_handler_takes_nothing_from_it(self) -> None:
        handler = task("h", needs=["a"], trigger="OneFailed", handles=True)
        assert not problems(result("tasks.a.outputs.n", CONTINUED, handler))


def test_one_thousand_tasks_in_a_chain_that_read_the_first() -> None:
    chain = [task("t0", outputs=ROWS)]
    chain += [
        task(f"t{index}", needs=[f"t{index - 1}"], when="${tasks.t0.outputs.rows > 0}") for index in range(1, 1000)
    ]
    assert len(compiled(spec(*chain)).graph.nodes) == 1000


def test_groups_that_need_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordering, "MAX_EDGES", 5)
    first = [task(f"a{index}", group="all") for index in range(2)]
    then = [task(f"b{index}", needs=["all"]) for index in range(3)]
    assert needs(spec(*first, *then[:2]), "b1") == ("a0", "a1")
    ((path, message),) = problems(spec(*first, *then)).items()
    assert path == "spec.tasks[4].needs"
    assert "put one task between two large groups" in message
