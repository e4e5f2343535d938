"""What only a cluster can do, found in a definition before anything of it is started.

*Refused* is what would change the meaning of a task if it were left out: an object of the cluster, somebody's
approval, an init container, a value from a Secret, the entrypoint of an image. *Ignored*, with a warning, is what a
task may get along without: volumes (a directory is better passed as a parameter), a working directory inside an image,
probes. What only places or limits a pod (images, resources, scheduling, security) needs no word: it cannot apply to a
process.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fairlead.api.environment import FILES
from fairlead.api.problems import Problem, Severity

__all__ = ["find_refusals"]

_Json = Mapping[str, Any]

_IGNORED = {
    "volumeMounts": "volumes are not mounted here; pass the path of a directory as a parameter",
    "workingDir": "each attempt has a working directory of its own here",
    "lifecycle": "hooks are not run here",
    "livenessProbe": "probes are not run here",
    "startupProbe": "probes are not run here",
}


#: Kinds of tasks that need a cluster, and why.
_KINDS = {
    "job": "is a Job: run it on a cluster, or make it a `container` task",
    "resource": "makes an object of the cluster: run it there",
    "workflow": "runs a template, which is in the cluster: run it there",
    "approval": "waits for somebody's approval, and here is nobody to give it: run it on a cluster",
}

_WAITS = {
    "condition": "waits for an object of the cluster: run it there",
    "callback": "waits for somebody outside to call back, which only works on a cluster",
}


def find_refusals(spec: _Json, passed: Collection[str] = ()) -> list[Problem]:
    """Return what this machine cannot do (errors) and what it will leave out (warnings), by field.

    Expects a spec that compiles. `passed` are the variables that the user gives to every task, which stand in for
    values from the cluster.
    """
    problems: list[Problem] = []
    defaults = spec.get("taskDefaults") or {}
    problems += _pod(defaults.get("pod"), "spec.taskDefaults.pod")
    problems += _env(defaults.get("env"), "spec.taskDefaults.env", passed)
    problems += _ignored(defaults, "spec.taskDefaults")
    for section in ("tasks", "finally"):
        for index, task in enumerate(spec.get(section) or ()):
            path = f"spec.{section}[{index}]"
            problems += _task(task, path, passed)
            problems += _pod(task.get("pod"), f"{path}.pod")
            problems += _env(task.get("env"), f"{path}.env", passed)
    return problems


def _task(task: _Json, path: str, passed: Collection[str]) -> Iterator[Problem]:
    name = task.get("name")
    for kind in _KINDS.keys() & task.keys():
        yield Problem(f"{path}.{kind}", f"task {name!r} {_KINDS[kind]}")
    for way in _WAITS.keys() & (task.get("wait") or {}).keys():
        yield Problem(f"{path}.wait.{way}", f"task {name!r} {_WAITS[way]}")
    for index, header in enumerate((task.get("http") or {}).get("headers") or ()):
        if header.get("valueFrom"):
            at = f"{path}.http.headers[{index}].valueFrom"
            yield Problem(at, f"the value of {header['name']} is in a Secret of the cluster: run it there")
    container = task.get("container")
    if container is not None:
        at = f"{path}.container"
        if not container.get("command"):
            yield Problem(
                at,
                f"task {name!r} runs its image's entrypoint, which does not exist here; "
                "give it a `command`, or run it on a cluster",
            )
        if container.get("envFrom"):
            yield Problem(
                f"{at}.envFrom",
                "these variables come from the cluster; write them as `env` with a `value`, or run it on a cluster",
            )
        yield from _env(container.get("env"), f"{at}.env", passed)
        yield from _ignored(container, at)
    yield from _ignored(task.get("script") or {}, f"{path}.script")
    for index, file in enumerate(task.get("files") or ()):
        if file["path"].startswith("/"):
            yield Problem(
                f"{path}.files[{index}].path",
                "here this file would be on your own file system; make the path relative, then it is below "
                f"${FILES} here and in a cluster",
            )


def _pod(pod: _Json | None, path: str) -> Iterator[Problem]:
    if pod and pod.get("initContainers"):
        yield Problem(
            f"{path}.initContainers",
            "init containers and sidecars need a cluster; make what an init container does a task of its own",
        )


def _env(entries: Any, path: str, passed: Collection[str]) -> Iterator[Problem]:
    for index, entry in enumerate(entries or ()):
        source = entry.get("valueFrom")
        if not source or entry["name"] in passed:
            continue
        if any(isinstance(each, Mapping) and each.get("optional") is True for each in source.values()):
            continue  # missing is allowed, and missing it is
        name = entry["name"]
        yield Problem(
            f"{path}[{index}].valueFrom",
            f"the value of {name} comes from the cluster; give it here with `--env {name}=…`, or run it on a cluster",
        )


def _ignored(fields: _Json, path: str) -> Iterator[Problem]:
    for name, message in _IGNORED.items():
        if fields.get(name):
            yield Problem(f"{path}.{name}", f"ignored: {message}", Severity.WARNING)
