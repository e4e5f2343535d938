"""`job`: a batch/v1 Job, of which the container `main` counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlead.api.defaults import main_container, merge_pod, retry_policy
from fairlead.api.file_compile import compile_files
from fairlead.api.kinds.kind import OF_POD, CompiledKind, Context, Kind
from fairlead.api.kinds.pod import check_default_mounts, check_image, check_own_places
from fairlead.api.pod_rules import check_containers, check_job, check_volumes, volume_names
from fairlead.api.rendering import CompiledWork
from fairlead.api.task import Task
from fairlead.engine.model import WorkKind

__all__ = ["JOB"]


def _compile(context: Context, task: Task, path: str) -> CompiledKind:
    assert task.job is not None
    spec, at, trees = task.job.spec, f"{path}.job.spec", context.trees
    _check(context, task, spec, path)
    work = CompiledWork(
        kind=WorkKind.JOB,
        main=trees.pod(spec, at, ("template", "spec")),
        env=trees.tree(task.env or [], f"{path}.env", escape=True),
        files=compile_files(task.files or (), f"{path}.files", trees),
        pod=trees.pod({}, path),
        defaults=context.compiled_defaults,
    )
    return CompiledKind(work=work)


JOB = Kind(
    name="job",
    compile=_compile,
    output_source=OF_POD,
    unfit={
        "pod": "write these fields in `job.spec.template.spec`",
        "onNodeLost": "its pods are replaced by the Job itself; see `job.spec.podReplacementPolicy`",
    },
)


def _check(context: Context, task: Task, spec: Mapping[str, Any], path: str) -> None:
    at = f"{path}.job.spec"
    check_job(spec, at, has_outputs=bool(task.outputs), report=context.report)
    retry = retry_policy(task.retry, context.defaults.retry)
    if retry.limit and spec.get("backoffLimit") != 0:
        context.warn(
            f"{at}.backoffLimit",
            f"the Job's own retries ({spec.get('backoffLimit', '6 unless set')}) multiply with the task's "
            f"`retry.limit` ({retry.limit}); set one of them to 0",
        )
    pod = spec["template"].get("spec", {})
    check_volumes(pod, f"{at}.template.spec", context.report)
    if not context.judge_pods:
        return
    volumes = volume_names(merge_pod(context.defaults.pod or {}, pod))
    check_containers(pod, f"{at}.template.spec", volumes, context.report)
    found = main_container(pod)
    if found is not None:
        check_image(context, found[1], f"{at}.template.spec.containers[{found[0]}].image")
        check_default_mounts(context, set(), volumes)
        place = f"{at}.template.spec.containers[{found[0]}].volumeMounts"
        check_own_places(context, task, path, found[1].get("volumeMounts", ()), place)
