"""What is wrong with one task that no schema can say."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.definitions import compiled, job, node, problems, spec, task, warnings

from fairlead.api.kinds import KINDS
from fairlead.api.problems import listed
from fairlead.engine.model import Clocks, OutputSource

VOLUMES = {"volumes": [{"name": "data", "emptyDir": {}}]}


def container(**fields: Any) -> dict[str, Any]:
    return spec(task(container={"image": "x", **fields}))


def resources(requests: dict[str, Any], limits: dict[str, Any]) -> dict[str, Any]:
    return container(resources={"requests": requests, "limits": limits})


@pytest.mark.parametrize(
    ("definition", "path", "message"),
    [
        (
            spec({"name": "a"}),
            "spec.tasks[0]",
            f"must have exactly one of {listed(KINDS)}; none is there",
        ),
        (
            spec(task(container={"image": "x"}, script={"source": "1"})),
            "spec.tasks[0]",
            f"must have exactly one of {listed(KINDS)}; not `container` and `script`",
        ),
        (
            spec(task(container={})),
            "spec.tasks[0].container.image",
            "is required, here or in spec.taskDefaults.image",
        ),
        (
            spec(task(script={"source": "1"})),
            "spec.tasks[0].script.image",
            "is required, here or in spec.taskDefaults.image",
        ),
        (
            container(env=[{"name": "FAIRLEAD_TASK", "value": "x"}]),
            "spec.tasks[0].container.env[0].name",
            "must not begin with FAIRLEAD_: these variables are set by Fairlead",
        ),
        (
            spec(task(env=[{"name": "A", "value": "x", "valueFrom": {}}])),
            "spec.tasks[0].env[0]",
            "must have `value` or `valueFrom`, not both",
        ),
        (
            resources({"memory": "2Gi"}, {"memory": "1Gi"}),
            "spec.tasks[0].container.resources.requests.memory",
            "must not be greater than the limit: 2Gi is requested, spec.tasks[0].container.resources.limits.memory is",
        ),
        (
            resources({"cpu": "1001m"}, {"cpu": 1}),
            "spec.tasks[0].container.resources.requests.cpu",
            "must not be greater than the limit: 1001m is requested, spec.tasks[0].container.resources.limits.cpu is 1",
        ),
        (
            resources({"nvidia.com/gpu": "-1"}, {}),
            "spec.tasks[0].container.resources.requests.nvidia.com/gpu",
            "must not be negative, as '-1' is",
        ),
        (
            spec(
                task(container={"image": "x", "resources": {"requests": {"memory": "2Gi"}}}),
                taskDefaults={"resources": {"limits": {"memory": "1Gi"}}},
            ),
            "spec.tasks[0].container.resources.requests.memory",
            "must not be greater than the limit",
        ),
        (
            container(volumeMounts=[{"name": "dta", "mountPath": "/d"}]),
            "spec.tasks[0].container.volumeMounts[0].name",
            "no volume named 'dta'; declare it in spec.tasks[0].pod.volumes",
        ),
        (
            spec(task(container={"image": "x", "volumeMounts": [{"name": "dta", "mountPath": "/d"}]}, pod=VOLUMES)),
            "spec.tasks[0].container.volumeMounts[0].name",
            "no volume named 'dta'; did you mean 'data'?",
        ),
        (
            spec(task("a"), task("b"), taskDefaults={"volumeMounts": [{"name": "v", "mountPath": "/d"}]}),
            "spec.taskDefaults.volumeMounts[0].name",
            "no volume named 'v'; declare it in spec.taskDefaults.pod.volumes",
        ),
        (
            spec(task(pod={"initContainers": [{"name": "main", "image": "x"}]})),
            "spec.tasks[0].pod.initContainers[0].name",
            "must not be 'main': that is the task's own container",
        ),
        (
            spec(task(pod={"initContainers": [{"name": "i"}]})),
            "spec.tasks[0].pod.initContainers[0].image",
            "is required",
        ),
        (
            spec(task(outputs=[{"name": "n"}, {"name": "n"}])),
            "spec.tasks[0].outputs[1].name",
            "another output is named 'n', too; names must be unique",
        ),
        (
            spec(task(outputs=[{"name": "n", "type": "integer", "default": "x"}])),
            "spec.tasks[0].outputs[0].default",
            "must be of type integer, not 'x'",
        ),
        (
            spec(task(outputs=[{"name": "n", "from": "Stderr"}])),
            "spec.tasks[0].outputs[0].from",
            "must be `File` or `Stdout`, not 'Stderr'",
        ),
        (
            spec(task(job=job(pod={"containers": [{"name": "x", "image": "x"}]}))),
            "spec.tasks[0].job.spec.template.spec.containers",
            "must have a container named 'main': its exit and outputs count",
        ),
        (
            spec(task(job=job(pod={"restartPolicy": "Always"}))),
            "spec.tasks[0].job.spec.template.spec.restartPolicy",
            "must be Never or OnFailure, not 'Always'",
        ),
        (
            spec(task(job=job(completions=3), outputs=[{"name": "n"}])),
            "spec.tasks[0].job.spec.completions",
            "must be 1 for a task with `outputs`",
        ),
        (
            spec(task(job=job(parallelism=3), outputs=[{"name": "n"}])),
            "spec.tasks[0].job.spec.completions",
            "must be 1 for a task with `outputs`",
        ),
        (
            spec(task(job=job(), pod={"nodeName": "x"})),
            "spec.tasks[0].pod",
            "must not be set with `job`: write these fields in `job.spec.template.spec`",
        ),
        (
            spec(task(job=job(), onNodeLost={"replaceAfterSeconds": 5})),
            "spec.tasks[0].onNodeLost",
            "must not be set with `job`: its pods are replaced by the Job itself",
        ),
        (
            spec(task("b"), task(needs=["b"], handles=True)),
            "spec.tasks[1].handles",
            "must not be set with the trigger AllSucceeded, under which the task does not run after a failure: set",
        ),
        (
            spec(task("b"), task(needs=["b"], handles=True, trigger="Always")),
            "spec.tasks[1].handles",
            "must not be set with the trigger Always",
        ),
        (
            spec(task(job=job(pod={"containers": [{"name": "main", "image": "x", "terminationMessagePath": "/x"}]}))),
            "spec.tasks[0].job.spec.template.spec.containers[0].terminationMessagePath",
            "must not be set: outputs are read from the container's termination message",
        ),
    ],
)
def test_says_what_is_wrong(definition: dict[str, Any], path: str, message: str) -> None:
    found = problems(definition)
    assert list(found) == [path]
    assert found[path].startswith(message)


def test_what_a_task_says_of_its_course_is_handed_to_the_engine() -> None:
    made = node(
        spec(
            task("b"),
            task(
                needs=["b"],
                trigger="OneFailed",
                handles=True,
                onFailure="Continue",
                skipExitCodes=[99, 100],
                onNodeLost={"replaceAfterSeconds": 60},
                priority=-3,
                outputs=[{"name": "text", "from": "Stdout"}, {"name": "n", "type": "integer"}],
            ),
        )
    )
    assert (made.handles, made.continue_on_failure, made.priority) == (True, True, -3)
    assert (made.skip_exit_codes, made.replace_lost_after_seconds) == ({99, 100}, 60)
    assert [output.source for output in made.outputs] == [OutputSource.STDOUT, OutputSource.FILE]


@pytest.mark.parametrize("trigger", ["OneFailed", "AllFailed", "AllDone", "OneDone"])
def test_a_handler_runs_after_failures(trigger: str) -> None:
    assert not problems(spec(task("b"), task(needs=["b"], handles=True, trigger=trigger)))


def test_the_clocks_are_the_tasks_own_or_the_default_ones() -> None:
    own = {"queueTimeoutSeconds": 1, "startTimeoutSeconds": 2, "timeoutSeconds": 3}
    default = {"queueTimeoutSeconds": 11, "startTimeoutSeconds": 12, "timeoutSeconds": 13}
    graph = compiled(spec(task("a", deadlineSeconds=4, **own), task("b"), taskDefaults=default)).graph
    assert graph.nodes["a"].clocks == Clocks(queue_seconds=1, start_seconds=2, run_seconds=3, deadline_seconds=4)
    assert graph.nodes["b"].clocks == Clocks(queue_seconds=11, start_seconds=12, run_seconds=13)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("true", "must be an expression, such as ${true}"),
        ("${1 + 1}", "must be true or false, but the expression is of type integer"),
        ("is ${true}", "must be true or false, but the expression is of type string"),
        ("${params.dya == 'x'}", "no parameter 'dya'; did you mean 'day'? (column 3)"),
        ("${", "must be"),
    ],
)
def test_a_condition_is_true_or_false(when: str, message: str) -> None:
    found = problems(spec(task(when=when), params=[{"name": "day", "default": "x"}]))
    assert list(found) == ["spec.tasks[0].when"]
    assert message == "must be" or found["spec.tasks[0].when"] == message


@pytest.mark.row("fine:size-of-values")
def test_an_argument_longer_than_the_kernel_takes_is_refused() -> None:
    found = problems(container(args=["x" * 131_072]))
    assert found["spec.tasks[0].container.args[0]"].startswith("the text has 131,072 bytes, more than the 131,071")


@pytest.mark.row("fine:size-of-values")
def test_a_script_larger_than_a_configmap_is_refused() -> None:
    found = problems(spec(task(script={"source": "😀" * 262_144, "image": "x"})))
    assert found["spec.tasks[0].script.source"].startswith("must have at most 1,000,000 bytes, not 1,048,576")


def test_quantities_with_expressions_are_not_judged() -> None:
    definition = resources({"memory": "${params.memory}"}, {"memory": "1Gi"})
    assert not problems({**definition, "params": [{"name": "memory", "default": "2Gi"}]})


@pytest.mark.parametrize(("backoff", "warned"), [({"backoffLimit": 3}, True), ({}, True), ({"backoffLimit": 0}, False)])
@pytest.mark.row("fine:jobs")
def test_two_layers_of_retries_are_warned_of(backoff: dict[str, int], warned: bool) -> None:
    own = job(**backoff)
    if not backoff:
        del own["spec"]["backoffLimit"]
    assert bool(warnings(spec(task(job=own, retry={"limit": 2})))) is warned
    assert not warnings(spec(task(job=own)))


def test_the_spec_is_left_as_it_was() -> None:
    own = job(pod={"containers": [{"name": "main", "image": "x", "args": ["${run.name}"], "env": []}]})
    definition = spec(task(job=own), task("b", env=[{"name": "A", "value": "1"}]))
    before = repr(definition)
    compiled(definition)
    assert repr(definition) == before
