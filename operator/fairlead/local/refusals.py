"""What only a cluster can do, found in a definition before anything of it is started.

*Refused* is what would change the meaning of a task if it were left out: an object of the cluster, an init container,
a value from a Secret, the entrypoint of an image, an answer that nobody can give. *Ignored*, with a warning, is what a
task may get along without: volumes (a directory is better passed as a parameter), a working directory inside an image,
probes. What only places or limits a pod (images, resources, scheduling, security) needs no word: it cannot apply to a
process.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from fairlead.api.environment import FILES
from fairlead.api.problems import Problem, Severity
from fairlead.local.definitions import Find, definitions, tasks_of

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
}


def find_refusals(
    spec: _Json,
    passed: Collection[str] = (),
    *,
    find: Find = lambda _: None,
    can_answer: Callable[[str, str], bool] = lambda _task, _kind: False,
) -> list[Problem]:
    """Return what this machine cannot do (errors) and what it will leave out (warnings), by field.

    Expects a spec that compiles. `passed` are the variables that the user gives to every task, which stand in for
    values from the cluster. `find` returns templates by their names: what they need is told at the field that names
    them. `can_answer(task, kind)` tells whether there is an answer for an `approval` or a `callback`.
    """
    problems: list[Problem] = []
    for definition in definitions(spec, find):
        if definition.spec is None:
            words = (
                f"there is no WorkflowTemplate {definition.template!r} among the files; name the one that has it "
                "with `--templates`"
            )
            problems.append(Problem(definition.field, words))
            continue
        found = _of_definition(definition.spec, passed, can_answer)
        if definition.template:
            found = [
                replace(each, path=definition.field, message=f"WorkflowTemplate {definition.template!r}: {each}")
                for each in found
            ]
        problems += found
    return problems


def _of_definition(spec: _Json, passed: Collection[str], can_answer: Callable[[str, str], bool]) -> list[Problem]:
    problems: list[Problem] = []
    defaults = spec.get("taskDefaults") or {}
    problems += _pod(defaults.get("pod"), "spec.taskDefaults.pod")
    problems += _env(defaults.get("env"), "spec.taskDefaults.env", passed)
    problems += _ignored(defaults, "spec.taskDefaults")
    for path, task in tasks_of(spec):
        problems += _task(task, path, passed)
        problems += _questions(task, path, can_answer)
        problems += _pod(task.get("pod"), f"{path}.pod")
        problems += _env(task.get("env"), f"{path}.env", passed)
    return problems


def _questions(task: _Json, path: str, can_answer: Callable[[str, str], bool]) -> Iterator[Problem]:
    name = task.get("name")
    if "approval" in task and not can_answer(str(name), "approval"):
        yield Problem(
            f"{path}.approval",
            f"task {name!r} waits for approval, and here is no terminal to ask on; answer it with "
            f"`--answer {name}=Approve` (or `Reject`, or one of its options)",
        )
    if (task.get("wait") or {}).get("callback") and not can_answer(str(name), "callback"):
        yield Problem(
            f"{path}.wait.callback",
            f"task {name!r} waits for somebody outside to call back; answer it with `--answer {name}={{…}}`, "
            "its outputs as JSON",
        )


def _task(task: _Json, path: str, passed: Collection[str]) -> Iterator[Problem]:
    name = task.get("name")
    for kind in _KINDS.keys() & task.keys():
        yield Problem(f"{path}.{kind}", f"task {name!r} {_KINDS[kind]}")
    if "condition" in (task.get("wait") or {}):
        yield Problem(f"{path}.wait.condition", f"task {name!r} waits for an object of the cluster: run it there")
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
