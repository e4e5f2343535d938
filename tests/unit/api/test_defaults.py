"""`taskDefaults`: a task's own value wins, field by field."""

from __future__ import annotations

from typing import Any

from tests.unit.api.definitions import compiled, job, rendered, spec, task

from fairlead.engine.model import Backoff, Clocks, Jitter, RetryPolicy


def with_defaults(defaults: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return spec(task(**fields), taskDefaults=defaults)


def test_the_image_of_a_container_wins() -> None:
    definition = spec(task("a"), task("b", container={}), taskDefaults={"image": "y"})
    assert rendered(definition, "a")["container"]["image"] == "x"
    assert rendered(definition, "b")["container"]["image"] == "y"


def test_variables_are_joined_by_name_the_tasks_own_over_the_containers_over_the_defaults() -> None:
    definition = with_defaults(
        {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}, {"name": "C", "value": "1"}]},
        container={"image": "x", "env": [{"name": "B", "value": "2"}, {"name": "C", "value": "2"}]},
        env=[{"name": "C", "value": "3"}, {"name": "D", "value": "3"}],
    )
    env = rendered(definition)["container"]["env"]
    assert {each["name"]: each["value"] for each in env} == {"A": "1", "B": "2", "C": "3", "D": "3"}
    # A variable may refer to those before it, so the order is kept.
    assert [each["name"] for each in env] == ["A", "B", "C", "D"]


def test_requests_and_limits_win_as_a_whole() -> None:
    definition = with_defaults(
        {"resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}},
        container={"image": "x", "resources": {"requests": {"cpu": "2"}}},
    )
    assert rendered(definition)["container"]["resources"] == {"requests": {"cpu": "2"}, "limits": {"memory": "2Gi"}}


def test_a_mount_at_the_same_path_wins() -> None:
    volumes = [{"name": name, "emptyDir": {}} for name in ("v", "w")]
    definition = with_defaults(
        {
            "pod": {"volumes": volumes},
            "volumeMounts": [{"name": "v", "mountPath": "/data"}, {"name": "v", "mountPath": "/tmp"}],
        },
        script={"source": "1", "image": "x", "volumeMounts": [{"name": "w", "mountPath": "/data"}]},
    )
    mounts = rendered(definition)["container"]["volumeMounts"]
    assert {mount["mountPath"]: mount["name"] for mount in mounts} == {"/data": "w", "/tmp": "v"}


def test_fields_of_the_pod_win_one_by_one() -> None:
    definition = with_defaults(
        {"pod": {"nodeSelector": {"a": "1"}, "serviceAccountName": "x"}}, pod={"nodeSelector": {"b": "2"}}
    )
    assert rendered(definition)["pod"] == {"nodeSelector": {"b": "2"}, "serviceAccountName": "x"}


def test_the_fields_of_retry_win_one_by_one() -> None:
    definition = with_defaults(
        {"retry": {"limit": 2, "onTimeout": True, "backoff": {"initialSeconds": 1, "jitter": "Full"}}},
        retry={"limit": 0, "backoff": {"maxSeconds": 9}},
    )
    assert compiled(definition).graph.nodes["a"].retry == RetryPolicy(
        limit=0,
        infrastructure_limit=5,
        on_timeout=True,
        backoff=Backoff(initial_seconds=1, factor=2, max_seconds=9, jitter=Jitter.FULL),
    )


def test_the_time_out_of_a_task_wins() -> None:
    definition = spec(task("a"), task("b", timeoutSeconds=5, deadlineSeconds=7), taskDefaults={"timeoutSeconds": 60})
    nodes = compiled(definition).graph.nodes
    assert nodes["a"].clocks == Clocks(run_seconds=60)
    assert nodes["b"].clocks == Clocks(run_seconds=5, deadline_seconds=7)


def test_they_reach_the_main_container_and_the_pod_of_a_job() -> None:
    defaults = {"image": "y", "env": [{"name": "A", "value": "1"}], "pod": {"priorityClassName": "low"}}
    own = job(pod={"containers": [{"name": "main"}, {"name": "side", "image": "z"}]})
    definition = with_defaults(defaults, job=own, env=[{"name": "B", "value": "2"}])
    pod = rendered(definition)["jobSpec"]["template"]["spec"]
    assert pod["priorityClassName"] == "low"
    assert pod["containers"] == [
        {"name": "main", "image": "y", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"name": "side", "image": "z"},
    ]
