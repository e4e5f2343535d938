"""`resource` tasks: what must not be in a manifest, what a preset says of it, and what they render to."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.definitions import compiled, problems, rendered, spec, warnings

from fairlead.api.work import RenderedResource
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import WorkKind

SPARK = {"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "spec": {"mode": "cluster"}}
WIDGET = {"apiVersion": "example.com/v1", "kind": "Widget"}
JOB = {"apiVersion": "batch/v1", "kind": "Job", "spec": {"backoffLimit": 0}}
PATH = "spec.tasks[0].resource"


def resource(manifest: dict[str, Any] = WIDGET, **fields: Any) -> dict[str, Any]:
    """A `resource` task; `task` are more of its own fields."""
    more = fields.pop("task", {})
    given = {"manifest": manifest, **({} if "preset" in fields else {"successWhen": "${true}"}), **fields}
    return {"name": "a", "resource": given, "timeoutSeconds": 60, **more}


def widget(**fields: Any) -> dict[str, Any]:
    return spec(resource({**WIDGET, **fields}))


def render(definition: dict[str, Any], **tasks: dict[str, Any]) -> RenderedResource:
    work: RenderedResource = rendered(definition, **tasks)
    return work


def test_a_preset_fills_in_what_is_asked_about_the_object() -> None:
    work = render(spec(resource(SPARK, preset="SparkApplication")))
    assert (work["preset"], work["onCancel"], work["manifest"]) == ("SparkApplication", "Delete", SPARK)
    assert work["failureWhen"] is not None
    assert work["failureMessage"] is not None
    seen = {"status": {"applicationState": {"state": "FAILED", "errorMessage": "driver failed"}}}
    assert work["successWhen"].evaluate(object=seen) is False
    assert work["failureWhen"].evaluate(object=seen) is True
    assert work["failureMessage"].evaluate(object=seen) == "FAILED: driver failed"


def test_what_the_task_says_itself_takes_the_place_of_the_presets() -> None:
    work = render(spec(resource(SPARK, preset="SparkApplication", failureWhen="${object.status.x == 1}")))
    assert work["failureWhen"] is not None
    assert work["failureWhen"].evaluate(object={"status": {"x": 1}}) is True
    assert work["failureMessage"] is None  # the preset's words are about its own condition
    assert work["successWhen"].evaluate(object={"status": {"applicationState": {"state": "COMPLETED"}}}) is True


def test_any_kind_will_do_with_conditions() -> None:
    definition = spec(
        resource(successWhen="${object.status.done}", onCancel="Leave"),
        params=[{"name": "day", "default": "monday"}],
    )
    work = render(definition)
    assert (work["preset"], work["failureWhen"], work["failureMessage"], work["onCancel"]) == (
        None,
        None,
        None,
        "Leave",
    )
    assert work["successWhen"].evaluate(object={"status": {"done": True}}) is True
    assert compiled(definition).graph.nodes["a"].work.kind is WorkKind.RESOURCE


def test_conditions_and_outputs_see_the_run_as_well_as_the_object() -> None:
    definition = spec(
        resource(
            successWhen="${object.status.day == params.day}",
            task={"outputs": [{"name": "rows", "type": "integer", "from": "${object.status.rows + 1}"}]},
        ),
        params=[{"name": "day", "default": "monday"}],
    )
    work = render(definition)
    assert work["successWhen"].evaluate(object={"status": {"day": "monday"}}) is True
    [(name, rows)] = work["outputs"]
    assert (name, rows.evaluate(object={"status": {"rows": 2}})) == ("rows", 3)


def test_values_keep_their_types_and_labels_stay_texts() -> None:
    manifest = {
        **WIDGET,
        "metadata": {"labels": {"n": "${params.n}"}, "annotations": {"day": "on ${params.day}"}},
        "spec": {"replicas": "${params.n}", "name": "w-${params.n}", "list": "${[params.n]}"},
    }
    params = [{"name": "n", "type": "integer", "default": 3}, {"name": "day", "default": "monday"}]
    assert render(spec(resource(manifest), params=params))["manifest"] == {
        **WIDGET,
        "metadata": {"labels": {"n": "3"}, "annotations": {"day": "on monday"}},
        "spec": {"replicas": 3, "name": "w-3", "list": [3]},
    }


def test_a_value_cannot_expand_a_variable_in_any_pod_template() -> None:
    container = {
        "name": "main",
        "image": "${params.evil}",
        "args": ["$(HOME)", "${params.evil}"],
        "env": [{"name": "A", "value": "${params.evil}"}],
    }
    pods = {"template": {"spec": {"containers": [container], "initContainers": [{"command": ["${params.evil}"]}]}}}
    manifest = {**WIDGET, "spec": {"groups": [pods], "containers": 3}}
    [made] = render(spec(resource(manifest), params=[{"name": "evil", "default": "$(TOKEN)"}]))["manifest"]["spec"][
        "groups"
    ]
    assert made["template"]["spec"] == {
        "containers": [
            {
                "name": "main",
                "image": "$(TOKEN)",
                "args": ["$(HOME)", "$$(TOKEN)"],
                "env": [{"name": "A", "value": "$$(TOKEN)"}],
            }
        ],
        "initContainers": [{"command": ["$$(TOKEN)"]}],
    }


def test_nulls_in_a_manifest_are_kept() -> None:
    assert render(widget(spec={"limit": None}))["manifest"]["spec"] == {"limit": None}


def test_each_evaluation_gives_an_object_of_its_own() -> None:
    definition = widget(metadata={"labels": {"a": "b"}}, spec={"x": [1]})
    work = compiled(definition).graph.nodes["a"].work
    scope = {"params": {}, "run": {"namespace": "sales"}, "tasks": {}}
    first = work.evaluate(scope)["manifest"]
    first["spec"]["x"].append(2)
    first["metadata"]["labels"]["a"] = "c"
    assert work.evaluate(scope)["manifest"] == {**WIDGET, "metadata": {"labels": {"a": "b"}}, "spec": {"x": [1]}}


@pytest.mark.parametrize("namespace", ["sales", "${run.namespace}"])
def test_the_namespace_may_be_that_of_the_run(namespace: str) -> None:
    assert render(widget(metadata={"namespace": namespace}))["manifest"]["metadata"] == {"namespace": "sales"}


def test_another_namespace_is_refused_before_anything_is_created() -> None:
    with pytest.raises(
        ExpressionError, match="must be 'sales', the namespace of the run, or left out, not 'hr'"
    ) as error:
        render(widget(metadata={"namespace": "hr"}))
    assert error.value.message.startswith(f"{PATH}.manifest.metadata.namespace: ")


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ({"apiVersion": None}, "apiVersion", "is required"),
        ({"kind": None}, "kind", "is required"),
        ({"apiVersion": "${'v1'}"}, "apiVersion", "must be of the form batch/v1, and written out: an expression"),
        ({"kind": "widget"}, "kind", "must be of the form Job, unlike 'widget'"),
        ({"metadata": []}, "metadata", "must be an object"),
        (
            {"metadata": {"name": "x"}},
            "metadata.name",
            "must not be set: the name is made from the run, the task and the attempt",
        ),
        ({"metadata": {"generateName": "x-"}}, "metadata.generateName", "must not be set: the name is made from"),
        ({"metadata": {"ownerReferences": []}}, "metadata.ownerReferences", "must not be set: the object belongs to"),
        (
            {"metadata": {"label": {}}},
            "metadata.label",
            "must not be set; there may be annotations, labels, namespace; did you mean 'labels'?",
        ),
        ({"metadata": {"labels": {"a": 1}}}, "metadata.labels", "must be an object of strings"),
        (
            {"metadata": {"labels": {"fairlead.dev/task": "x"}}},
            "metadata.labels[fairlead.dev/task]",
            "must not begin with fairlead.dev/",
        ),
        ({"status": {}}, "status", "must not be set: it is written by the kind's own controller"),
        ({"spec": {"x": "${params.nope}"}}, "spec.x", "no parameter 'nope'"),
    ],
)
def test_what_must_not_be_in_a_manifest(fields: dict[str, Any], place: str, message: str) -> None:
    manifest = {key: value for key, value in {**WIDGET, **fields}.items() if value is not None}
    found = problems(spec(resource(manifest)))
    assert found[f"{PATH}.manifest.{place}"].startswith(message)


@pytest.mark.parametrize(
    ("task", "path", "message"),
    [
        (
            resource(JOB, successWhen=None),
            f"{PATH}.successWhen",
            "is required without `preset`; for this kind there is `preset: Job`",
        ),
        (resource(successWhen=None), f"{PATH}.successWhen", "is required without `preset`"),
        (
            resource(WIDGET, preset="Job"),
            f"{PATH}.manifest",
            "must be a Job of batch/v1, as the preset Job says, not a Widget of example.com/v1: write `successWhen`",
        ),
        (resource(JOB, preset="Jobb"), f"{PATH}.preset", "must be one of Job, JobSet, Workflow"),
        (
            resource({**SPARK, "spec": {"restartPolicy": {"type": "Always"}}}, preset="SparkApplication"),
            f"{PATH}.manifest.spec.restartPolicy.type",
            "must not be 'Always'",
        ),
        (resource(successWhen="${object.status"), f"{PATH}.successWhen", "'${' is not closed by '}'"),
        (resource(successWhen="object.status.done"), f"{PATH}.successWhen", "must be an expression, such as ${object."),
        (resource(failureWhen="${1}"), f"{PATH}.failureWhen", "must be true or false"),
        (resource(onCancel="Suspend"), f"{PATH}.onCancel", "must be one of Delete, Leave"),
        (
            resource(task={"outputs": [{"name": "x"}]}),
            "spec.tasks[0].outputs[0].from",
            "is required: an expression over `object` that gives the value",
        ),
        (
            resource(task={"outputs": [{"name": "x", "from": "${object.metadata.generation > 1}"}]}),
            "spec.tasks[0].outputs[0].from",
            "is of type boolean, but the output is declared as string",
        ),
        (resource(task={"pod": {}}), "spec.tasks[0].pod", "must not be set with `resource`: it runs no pod"),
        (resource(task={"env": []}), "spec.tasks[0].env", "must not be set with `resource`: it runs no container"),
    ],
)
def test_what_is_wrong_with_a_task(task: dict[str, Any], path: str, message: str) -> None:
    assert problems(spec(task))[path].startswith(message)


def test_what_an_object_says_is_known_nowhere_else() -> None:
    found = problems(widget(spec={"x": "${object.status}"}))
    assert found[f"{PATH}.manifest.spec.x"].startswith("no variable 'object' here")


def test_a_task_that_may_go_on_for_ever_is_warned_of() -> None:
    endless = resource(task={"timeoutSeconds": None})
    assert "the task goes on for ever" in warnings(spec(endless))[PATH]
    for limited in (
        spec(resource()),
        spec(endless, taskDefaults={"timeoutSeconds": 60}),
        spec(resource(JOB, preset="Job", task={"timeoutSeconds": None})),
        spec(resource(failureWhen="${object.status.bad}", task={"timeoutSeconds": None})),
    ):
        assert warnings(limited) == {}


def test_two_layers_of_retries_are_warned_of() -> None:
    twice = {**JOB, "spec": {}}
    path = f"{PATH}.manifest.spec.backoffLimit"
    assert warnings(spec(resource(twice, preset="Job"))) == {}
    assert path in warnings(spec(resource(twice, preset="Job", task={"retry": {"limit": 2}})))
    assert path in warnings(spec(resource(twice, preset="Job"), taskDefaults={"retry": {"limit": 2}}))
    assert warnings(spec(resource(JOB, preset="Job", task={"retry": {"limit": 2}}))) == {}


def test_what_a_manifest_reads_of_another_task_comes_before_it() -> None:
    other = {"name": "b", "container": {"image": "x"}, "outputs": [{"name": "uri"}]}
    manifest = {**WIDGET, "spec": {"uri": "${tasks.b.outputs.uri}"}}
    definition = spec(resource(manifest, successWhen="${object.status.uri == tasks.b.outputs.uri}"), other)
    assert compiled(definition).graph.nodes["a"].needs == ("b",)
    work = render(definition, b={"uri": "s3://x"})
    assert work["manifest"]["spec"] == {"uri": "s3://x"}
    assert work["successWhen"].evaluate(object={"status": {"uri": "s3://x"}}) is True
