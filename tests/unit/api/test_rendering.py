"""What a task renders to: the contract with the manifest builder and the local runner."""

from __future__ import annotations

import pytest
from tests.unit.api.definitions import RUN, compiled, job, rendered, spec, task

from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import WorkKind

DAY = [{"name": "day", "default": "2026-11-22"}, {"name": "n", "type": "integer", "default": 3}]


def test_a_container() -> None:
    container = {"image": "x:${params.n}", "args": ["--day", "${params.day}"]}
    assert rendered(spec(task(container=container), params=DAY)) == {
        "kind": "Pod",
        "container": {"image": "x:3", "args": ["--day", "2026-11-22"]},
        "script": None,
        "files": [],
        "pod": {},
        "jobSpec": None,
    }


def test_a_script() -> None:
    script = {"source": "print(1)", "image": "x", "workingDir": "/tmp", "resources": {"limits": {"cpu": 1}}}
    assert rendered(spec(task(script=script))) == {
        "kind": "Pod",
        "container": {"image": "x", "workingDir": "/tmp", "resources": {"limits": {"cpu": 1}}},
        "script": {"source": "print(1)", "interpreter": ["python3"]},
        "files": [],
        "pod": {},
        "jobSpec": None,
    }


def test_a_job() -> None:
    definition = spec(task(job=job(completions=1)))
    assert compiled(definition).graph.nodes["a"].work.kind is WorkKind.JOB
    assert rendered(definition) == {
        "kind": "Job",
        "container": {},
        "script": None,
        "files": [],
        "pod": {},
        "jobSpec": {
            "backoffLimit": 0,
            "completions": 1,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]}},
        },
    }


def test_the_restart_policy_of_a_job_may_be_on_failure() -> None:
    pod = rendered(spec(task(job=job(pod={"restartPolicy": "OnFailure"}))))["jobSpec"]["template"]["spec"]
    assert pod["restartPolicy"] == "OnFailure"


def test_a_script_is_never_looked_into() -> None:
    source = "echo ${HOME} ${params.day} $(date) ${"
    assert rendered(spec(task(script={"source": source, "image": "x"})))["script"]["source"] == source


def test_an_expression_that_is_the_whole_text_is_still_a_text() -> None:
    # The fields of Kubernetes around it are strings.
    assert rendered(spec(task(container={"image": "x", "args": ["${params.n}"]}), params=DAY))["container"]["args"] == [
        "3"
    ]


EVIL = [{"name": "evil", "default": "$(SECRET)"}]


@pytest.mark.parametrize("field", ["command", "args"])
def test_a_value_cannot_expand_a_variable(field: str) -> None:
    container = {"image": "x", field: ["${params.evil} $(OWN)"]}
    assert rendered(spec(task(container=container), params=EVIL))["container"][field] == ["$$(SECRET) $(OWN)"]


def test_nor_can_it_in_a_variable() -> None:
    env = [{"name": "A", "value": "${params.evil}"}]
    definition = spec(task(container={"image": "x", "env": env}, env=[{**env[0], "name": "B"}]), params=EVIL)
    assert [each["value"] for each in rendered(definition)["container"]["env"]] == ["$$(SECRET)", "$$(SECRET)"]


def test_nor_in_other_containers() -> None:
    inner = {"name": "i", "image": "x", "args": ["${params.evil}"]}
    pod = rendered(spec(task(pod={"initContainers": [inner]}), params=EVIL))["pod"]
    assert pod["initContainers"][0]["args"] == ["$$(SECRET)"]
    own = job(pod={"containers": [{"name": "main", "image": "x", "args": ["${params.evil}"]}]})
    spec_ = rendered(spec(task(job=own), params=EVIL))["jobSpec"]
    assert spec_["template"]["spec"]["containers"][0]["args"] == ["$$(SECRET)"]


def test_a_dollar_stays_one_where_nothing_is_expanded() -> None:
    definition = spec(
        task(container={"image": "x", "workingDir": "/${params.evil}"}),
        params=[{"name": "evil", "default": "a$b"}],
    )
    assert rendered(definition)["container"]["workingDir"] == "/a$b"


def test_outputs_of_other_tasks_and_the_run_are_in_scope() -> None:
    definition = spec(
        task("b", outputs=[{"name": "rows", "type": "integer"}]),
        task(needs=["b"], env=[{"name": "A", "value": "${run.name}: ${tasks.b.outputs.rows}"}]),
    )
    assert rendered(definition, b={"rows": 7})["container"]["env"] == [{"name": "A", "value": f"{RUN['name']}: 7"}]


def test_an_expression_that_fails_says_in_which_field() -> None:
    definition = spec(task(container={"image": "x", "args": ["${1 / (params.n - 3)}"]}), params=DAY)
    with pytest.raises(ExpressionError, match=r"^spec\.tasks\[0\]\.container\.args\[0\]: "):
        rendered(definition)


def test_each_rendering_is_a_tree_of_its_own() -> None:
    definition = spec(task(pod={"volumes": [{"name": "v", "emptyDir": {}}]}))
    work = compiled(definition).graph.nodes["a"].work
    first = work.evaluate({"params": {}, "run": RUN, "tasks": {}})
    first["pod"]["volumes"].append("changed")
    first["container"]["image"] = "changed"
    assert work.evaluate({"params": {}, "run": RUN, "tasks": {}}) == rendered(definition)
