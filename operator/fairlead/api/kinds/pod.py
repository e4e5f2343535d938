"""`container` and `script`: a pod that is the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fairlead.api.defaults import merge_pod
from fairlead.api.file_compile import compile_files
from fairlead.api.kinds.kind import OF_POD, CompiledKind, Context, Kind
from fairlead.api.pod_rules import (
    check_containers,
    check_env,
    check_mounts,
    check_places,
    check_resources,
    check_volumes,
    volume_names,
)
from fairlead.api.rendering import CompiledWork
from fairlead.api.task import Task
from fairlead.api.task_kinds import Script
from fairlead.api.work import RenderedScript
from fairlead.engine.model import WorkKind

__all__ = ["CONTAINER", "SCRIPT", "check_default_mounts", "check_image", "check_own_places"]

_Json = Mapping[str, Any]

#: What fits into a ConfigMap with room for its metadata.
_MAX_SCRIPT_BYTES = 1_000_000
_INTERPRETER = ["python3"]
_DEFAULTS = "spec.taskDefaults"


def _compile_container(context: Context, task: Task, path: str) -> CompiledKind:
    return _compile(context, task, path, task.container or {}, f"{path}.container", None)


def _compile_script(context: Context, task: Task, path: str) -> CompiledKind:
    assert task.script is not None
    at = f"{path}.script"
    return _compile(context, task, path, _container_of(task.script), at, _script(context, task.script, at))


CONTAINER = Kind(name="container", compile=_compile_container, output_source=OF_POD)
SCRIPT = Kind(name="script", compile=_compile_script, output_source=OF_POD)


def _compile(
    context: Context, task: Task, path: str, container: _Json, at: str, script: RenderedScript | None
) -> CompiledKind:
    check_env(container.get("env", ()), f"{at}.env", context.report)
    check_volumes(task.pod or {}, f"{path}.pod", context.report)
    if context.judge_pods:
        _check(context, task, path, container, at)
    trees = context.trees
    work = CompiledWork(
        kind=WorkKind.POD,
        main=trees.container(container, at),
        env=trees.tree(task.env or [], f"{path}.env", escape=True),
        files=compile_files(task.files or (), f"{path}.files", trees),
        pod=trees.pod(task.pod or {}, f"{path}.pod"),
        defaults=context.compiled_defaults,
        script=script,
    )
    return CompiledKind(work=work)


def _check(context: Context, task: Task, path: str, container: _Json, at: str) -> None:
    own_pod = task.pod or {}
    check_image(context, container, f"{at}.image")
    resources = container.get("resources")
    if resources is not None:
        merged = {**(context.defaults.resources or {}), **resources}
        check_resources(merged, f"{at}.resources", context.report)
    volumes = volume_names(merge_pod(context.defaults.pod or {}, own_pod))
    check_containers(own_pod, f"{path}.pod", volumes, context.report)
    mounts = container.get("volumeMounts", ())
    check_mounts(mounts, f"{at}.volumeMounts", volumes, f"{path}.pod.volumes", context.report)
    check_default_mounts(context, {mount["mountPath"] for mount in mounts}, volumes)
    check_own_places(context, task, path, mounts, f"{at}.volumeMounts")


def check_image(context: Context, container: _Json, path: str) -> None:
    """Check that there is an image, the container's own or the default."""
    if not container.get("image") and not context.defaults.image:
        context.report(path, f"is required, here or in {_DEFAULTS}.image")


def check_default_mounts(context: Context, taken: set[str], volumes: list[str]) -> None:
    """Check that what `taskDefaults` mounts exists in this pod, but for the places that are `taken`."""
    for index, mount in enumerate(context.defaults.volume_mounts or ()):
        if mount["mountPath"] not in taken and mount["name"] not in volumes and "${" not in mount["name"]:
            context.report(
                f"{_DEFAULTS}.volumeMounts[{index}].name",
                f"no volume named {mount['name']!r}; declare it in {_DEFAULTS}.pod.volumes",
            )


def check_own_places(context: Context, task: Task, path: str, mounts: Sequence[_Json], at: str) -> None:
    """Check that the task's files, the run's workspace and what is mounted are not in each other's place."""
    taken = {mount["mountPath"] for mount in mounts}
    places = [(f"{at}[{index}].mountPath", mount["mountPath"]) for index, mount in enumerate(mounts)]
    places += [
        (f"{_DEFAULTS}.volumeMounts[{index}].mountPath", mount["mountPath"])
        for index, mount in enumerate(context.defaults.volume_mounts or ())
        if mount["mountPath"] not in taken
    ]
    if context.workspace is not None:
        places.insert(0, ("spec.workspace", context.workspace.place))
    places += [(f"{path}.files[{index}].path", file.path) for index, file in enumerate(task.files or ())]
    check_places(places, context.report)


def _script(context: Context, script: Script, path: str) -> RenderedScript:
    size = len(script.source.encode())
    if size > _MAX_SCRIPT_BYTES:
        context.report(
            f"{path}.source",
            f"must have at most {_MAX_SCRIPT_BYTES:,} bytes, not {size:,}: put the program into an image",
        )
    return RenderedScript(source=script.source, interpreter=script.interpreter or _INTERPRETER)


def _container_of(script: Script) -> dict[str, Any]:
    """Return the fields of a script that are those of a container."""
    fields = {
        "image": script.image,
        "volumeMounts": script.volume_mounts,
        "resources": script.resources,
        "workingDir": script.working_dir,
    }
    return {name: value for name, value in fields.items() if value is not None}
