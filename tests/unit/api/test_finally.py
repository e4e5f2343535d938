"""`finally`: what its tasks may name, and how they are told apart from all others."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.definitions import compiled, job, problems, spec, task, warnings

from fairlead.engine import capacity

ROWS = [{"name": "rows", "type": "integer"}]


def env(source: str) -> list[dict[str, str]]:
    return [{"name": "A", "value": f"${{{source}}}"}]


def ending(*tasks: dict[str, Any], main: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    """A definition with these tasks in `finally`, after a task `a` with an output."""
    return spec(*(main or [task("a", outputs=ROWS)]), **{"finally": list(tasks)}, **fields)


def test_its_tasks_come_last_and_are_marked() -> None:
    graph = compiled(ending(task("z", required=True), task("y"))).graph
    assert [(node.name, node.final, node.required) for node in graph.nodes.values()] == [
        ("a", False, False),
        ("z", True, True),
        ("y", True, False),
    ]
    assert graph.final == ("z", "y")


@pytest.mark.parametrize(("given", "expected"), [({}, 600), ({"finallyDeadlineSeconds": 30}, 30)])
def test_it_has_a_deadline_of_its_own(given: dict[str, int], expected: int) -> None:
    assert compiled(ending(task("z"), **given)).graph.final_deadline_seconds == expected


def test_they_need_each_other() -> None:
    graph = compiled(ending(task("z"), task("m1", group="all"), task("y", needs=["z", "all"]))).graph
    assert graph.nodes["y"].needs == ("z", "m1")


def test_they_read_every_task_without_a_dependency() -> None:
    reads = task("z", env=env("tasks.a.phase + string(tasks.a.outputs.?rows.orValue(0))"))
    node = compiled(ending(reads)).graph.nodes["z"]
    assert (node.needs, node.reads) == ((), ("a",))
    assert not warnings(ending(reads))


def test_they_see_the_summary_of_the_run() -> None:
    work = compiled(ending(task("z", env=env("run.summary.counts.Failed > 0 ? 'bad' : 'good'")))).graph.nodes["z"].work
    scope = {"params": {}, "run": {"summary": {"counts": {"Failed": 2}}}, "tasks": {}}
    assert work.evaluate(scope)["container"]["env"] == [{"name": "A", "value": "bad"}]


def test_what_they_read_of_each_other_is_a_dependency() -> None:
    definition = ending(task("z", outputs=ROWS), task("y", env=env("tasks.z.outputs.rows")))
    assert compiled(definition).graph.nodes["y"].needs == ("z",)
    assert warnings(definition) == {
        "spec.finally[1].env[0].value": "reads task 'z', and so comes after it; add it to `needs` to show that"
    }


def test_the_defaults_are_for_them_as_well() -> None:
    definition = ending({"name": "z", "container": {}}, taskDefaults={"image": "y", "retry": {"limit": 2}})
    node = compiled(definition).graph.nodes["z"]
    assert node.retry.limit == 2
    assert node.work.evaluate({"params": {}, "run": {}, "tasks": {}})["container"]["image"] == "y"


def test_a_task_of_any_kind_may_be_there() -> None:
    kinds = [{"job": job()}, {"set": {"values": [{"name": "n", "value": 1}]}}, {"approval": {"message": "Go?"}}]
    assert not problems(ending(*(task(f"z{index}", **kind) for index, kind in enumerate(kinds))))


def test_its_types_are_known_as_those_of_others() -> None:
    sets = task("z", set={"values": [{"name": "n", "value": 1}]})
    assert not problems(ending(sets, task("y", when="${tasks.z.outputs.n > 0}")))
    found = problems(ending(sets, task("y", when="${tasks.z.outputs.n > 'x'}")))
    assert found["spec.finally[1].when"].startswith("'>' does not take integer and string")


@pytest.mark.parametrize(
    ("definition", "path", "message"),
    [
        (
            ending(task("z", env=env("tasks.a.outputs.rows"))),
            "spec.finally[0].env[0].value",
            "task 'a' may not have Succeeded when this one runs, so its output may be missing: read it as tasks.a",
        ),
        (
            ending(task("z", needs=["a"])),
            "spec.finally[0].needs[0]",
            "'a' must not be named: all tasks before `finally` have ended by then",
        ),
        (
            ending(task("z"), main=[task("a", needs=["z"])]),
            "spec.tasks[0].needs[0]",
            "'z' must not be named: it is one of `finally`, and so comes after all other tasks",
        ),
        (ending(task("z", needs=["y"])), "spec.finally[0].needs[0]", "no task named 'y'"),
        (
            ending(task("a")),
            "spec.finally[0].name",
            "spec.tasks[0] is named 'a', too; names must be unique",
        ),
        (
            ending(task("z"), task("z")),
            "spec.finally[1].name",
            "spec.finally[0] is named 'z', too; names must be unique",
        ),
        (ending(task("z", group="a")), "spec.finally[0].group", "must not be 'a', which is the name of a task"),
        (
            ending(task("z"), main=[task("a", group="z")]),
            "spec.tasks[0].group",
            "must not be 'z', which is the name of a task",
        ),
        (
            ending(task("z"), main=[task("a", env=env("tasks.z.phase"))]),
            "spec.tasks[0].env[0].value",
            "no task 'z' in scope",
        ),
        (
            ending(main=[task("a", env=env("toJson(run.summary)"))]),
            "spec.tasks[0].env[0].value",
            "run has no field 'summary': there is one only in `finally`",
        ),
        (
            ending(task("z"), outputs=[{"name": "r", "value": "${tasks.z.phase}"}]),
            "spec.outputs[0].value",
            "no task 'z' in scope",
        ),
        (
            ending(task("z"), task("y", trigger="AllDone", needs=["z"], handles=True)),
            "spec.finally[1].handles",
            "must not be set in `finally`, which never turns a failure into a success",
        ),
        (spec(task("a", required=True)), "spec.tasks[0].required", "unknown field"),
        (ending({"name": "z"}), "spec.finally[0]", "must have exactly one of"),
        (
            ending(task("z", container={"image": "x", "name": "y"})),
            "spec.finally[0].container.name",
            "must not be set: the container of a task is always named `main`",
        ),
        (
            ending(task("z", pod={"volumes": [{"name": "v", "emptyDr": {}}]})),
            "spec.finally[0].pod.volumes[0].emptyDr",
            "unknown field; did you mean 'emptyDir'?",
        ),
        (
            ending(task("z", job={"spec": {"backofLimit": 1, "template": {}}})),
            "spec.finally[0].job.spec.backofLimit",
            "unknown field; did you mean 'backoffLimit'?",
        ),
        (
            ending(task("z", needs=["y"]), task("y", needs=["z"])),
            "spec.finally[0].needs",
            "the tasks form a cycle, each needing the next: z → y → z; remove one of these dependencies",
        ),
        (ending(task("z"), finallyDeadlineSeconds=0), "spec.finallyDeadlineSeconds", "must be greater than or equal"),
    ],
)
def test_says_what_is_wrong(definition: dict[str, Any], path: str, message: str) -> None:
    found = problems(definition)
    assert list(found) == [path]
    assert found[path].startswith(message)


def test_one_that_does_not_fit_its_model_does_not_hide_the_others() -> None:
    found = problems(ending(task("z", neds=[]), task("y", needs=["x"])))
    assert set(found) == {"spec.finally[0].neds", "spec.finally[1].needs[0]"}


def test_they_count_among_the_tasks_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "TASKS", 10)
    main = [task(f"t{index}") for index in range(10)]
    assert problems(ending(task("z"), main=main))["spec.tasks"].startswith("11 tasks; a run may have 10")
