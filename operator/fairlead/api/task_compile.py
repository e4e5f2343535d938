"""One task: what the schema cannot say about it, and its work with the expressions compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.api.defaults import main_container, merge_pod, retry_policy
from fairlead.api.pod_rules import (
    Report,
    check_containers,
    check_env,
    check_job,
    check_mounts,
    check_resources,
    check_volumes,
    volume_names,
)
from fairlead.api.rendering import CompiledWork, Defaults, TreeCompiler
from fairlead.api.task import Script, Task, TaskDefaults
from fairlead.api.work import RenderedScript
from fairlead.engine.model import Clocks, OutputDeclaration, RetryPolicy, ValueType, WorkKind
from fairlead.engine.outputs import has_type
from fairlead.engine.templates import CompiledTree, FieldReference, compile_tree

__all__ = ["CompiledTask", "TaskCompiler", "compile_defaults"]

_Json = Mapping[str, Any]

#: What fits into a ConfigMap with room for its metadata.
_MAX_SCRIPT_BYTES = 1_000_000
_INTERPRETER = ["python3"]
_KINDS = ("container", "script", "job")
_DEFAULTS = "spec.taskDefaults"
_CONTAINER_DEFAULTS = {"image": "image", "env": "env", "resources": "resources", "volume_mounts": "volumeMounts"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledTask:
    """A task without its place in the graph."""

    work: CompiledWork
    when: CompiledTree | None
    retry: RetryPolicy
    clocks: Clocks
    outputs: tuple[OutputDeclaration, ...]

    @property
    def references(self) -> tuple[FieldReference, ...]:
        """Everything that its expressions name."""
        return (*self.work.references, *(self.when.references if self.when else ()))


def compile_defaults(defaults: TaskDefaults, trees: TreeCompiler) -> Defaults:
    """Check and compile `taskDefaults`."""
    report = trees.report
    container = {
        name: getattr(defaults, field) for field, name in _CONTAINER_DEFAULTS.items() if getattr(defaults, field)
    }
    check_env(defaults.env or (), f"{_DEFAULTS}.env", report)
    check_resources(defaults.resources or {}, f"{_DEFAULTS}.resources", report)
    pod = defaults.pod or {}
    check_volumes(pod, f"{_DEFAULTS}.pod", report)
    check_containers(pod, f"{_DEFAULTS}.pod", volume_names(pod), report)
    compiled = Defaults(container=trees.container(container, _DEFAULTS), pod=trees.pod(pod, f"{_DEFAULTS}.pod"))
    for found in compiled.references:
        if found.reference.path[0] == "tasks":
            report(found.field, "must not refer to tasks: the defaults are the same for all of them")
    return compiled


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCompiler:
    """Compiles the tasks of one workflow. `judge_pods` is off when `taskDefaults` are not known, being broken."""

    trees: TreeCompiler
    defaults: TaskDefaults
    compiled_defaults: Defaults
    judge_pods: bool
    warn: Report

    def compile(self, task: Task, path: str) -> CompiledTask | None:
        """Check a task and compile it; None when it has no kind."""
        self._check_outputs(task, path)
        check_env(task.env or (), f"{path}.env", self.trees.report)
        when = self._when(task.when, f"{path}.when") if task.when is not None else None
        work = self._work(task, path)
        if work is None:
            return None
        run_seconds = task.timeout_seconds
        return CompiledTask(
            work=work,
            when=when,
            retry=retry_policy(task.retry, self.defaults.retry),
            clocks=Clocks(
                run_seconds=run_seconds if run_seconds is not None else self.defaults.timeout_seconds,
                deadline_seconds=task.deadline_seconds,
            ),
            outputs=tuple(
                OutputDeclaration(
                    name=output.name,
                    type=output.type,
                    has_default="default" in output.model_fields_set,
                    default=output.default,
                )
                for output in task.outputs or ()
            ),
        )

    def _work(self, task: Task, path: str) -> CompiledWork | None:
        given = [kind for kind in _KINDS if getattr(task, kind) is not None]
        if len(given) != 1:
            found = f"not {' and '.join(f'`{kind}`' for kind in given)}" if given else "none is there"
            self.trees.report(path, f"must have exactly one of `container`, `script` and `job`; {found}")
            return None
        env = self.trees.tree(task.env or [], f"{path}.env", escape=True)
        if task.job is not None:
            spec, at = task.job.spec, f"{path}.job.spec"
            self._check_job(task, spec, path)
            main = self.trees.pod(spec, at, ("template", "spec"))
            return CompiledWork(
                kind=WorkKind.JOB, main=main, env=env, pod=self.trees.pod({}, path), defaults=self.compiled_defaults
            )
        if task.script is not None:
            at, fields, script = f"{path}.script", _container_of(task.script), self._script(task.script, path)
        else:
            at, fields, script = f"{path}.container", task.container or {}, None
        self._check_pod(task, fields, at, path)
        return CompiledWork(
            kind=WorkKind.POD,
            main=self.trees.container(fields, at),
            env=env,
            pod=self.trees.pod(task.pod or {}, f"{path}.pod"),
            defaults=self.compiled_defaults,
            script=script,
        )

    def _script(self, script: Script, path: str) -> RenderedScript:
        size = len(script.source.encode())
        if size > _MAX_SCRIPT_BYTES:
            self.trees.report(
                f"{path}.script.source",
                f"must have at most {_MAX_SCRIPT_BYTES:,} bytes, not {size:,}: put the program into an image",
            )
        return RenderedScript(source=script.source, interpreter=script.interpreter or _INTERPRETER)

    def _when(self, text: str, path: str) -> CompiledTree:
        failed: list[str] = []

        def report(field: str, message: str) -> None:
            failed.append(field)
            self.trees.report(field, message)

        tree = compile_tree(
            text,
            path=path,
            evaluator=self.trees.evaluator,
            declarations=self.trees.declarations,
            report=report,
        )
        if tree.is_constant:
            if not failed:
                self.trees.report(path, f"must be an expression, such as ${{{text.strip() or 'true'}}}")
        elif tree.type not in {ValueType.BOOLEAN, None}:
            self.trees.report(path, f"must be true or false, but the expression is of type {tree.type}")
        return tree

    def _check_outputs(self, task: Task, path: str) -> None:
        seen: set[str] = set()
        for index, output in enumerate(task.outputs or ()):
            at = f"{path}.outputs[{index}]"
            if output.name in seen:
                self.trees.report(f"{at}.name", f"another output is named {output.name!r}, too; names must be unique")
            seen.add(output.name)
            if "default" in output.model_fields_set and not has_type(output.default, output.type):
                self.trees.report(f"{at}.default", f"must be of type {output.type}, not {output.default!r}")

    def _check_pod(self, task: Task, container: _Json, at: str, path: str) -> None:
        report = self.trees.report
        check_env(container.get("env", ()), f"{at}.env", report)
        own_pod = task.pod or {}
        check_volumes(own_pod, f"{path}.pod", report)
        if not self.judge_pods:
            return
        self._check_image(container, f"{at}.image")
        self._check_resources(container, f"{at}.resources")
        volumes = volume_names(merge_pod(self.defaults.pod or {}, own_pod))
        check_containers(own_pod, f"{path}.pod", volumes, report)
        self._check_mounts(container, f"{at}.volumeMounts", volumes, f"{path}.pod.volumes")

    def _check_job(self, task: Task, spec: _Json, path: str) -> None:
        report, at = self.trees.report, f"{path}.job.spec"
        check_job(spec, at, has_outputs=bool(task.outputs), report=report)
        if task.pod is not None:
            report(f"{path}.pod", "must not be set for a `job`: write these fields in `job.spec.template.spec`")
        retry = retry_policy(task.retry, self.defaults.retry)
        if retry.limit and spec.get("backoffLimit") != 0:
            self.warn(
                f"{at}.backoffLimit",
                f"the Job's own retries ({spec.get('backoffLimit', '6 unless set')}) multiply with the task's "
                f"`retry.limit` ({retry.limit}); set one of them to 0",
            )
        pod = spec["template"].get("spec", {})
        check_volumes(pod, f"{at}.template.spec", report)
        found = main_container(pod)
        if not self.judge_pods:
            return
        volumes = volume_names(merge_pod(self.defaults.pod or {}, pod))
        check_containers(pod, f"{at}.template.spec", volumes, report)
        if found is not None:
            place = f"{at}.template.spec.containers[{found[0]}]"
            self._check_image(found[1], f"{place}.image")
            self._check_mounts({}, f"{place}.volumeMounts", volumes, f"{at}.template.spec.volumes")

    def _check_image(self, container: _Json, path: str) -> None:
        if not container.get("image") and not self.defaults.image:
            self.trees.report(path, f"is required, here or in {_DEFAULTS}.image")

    def _check_resources(self, container: _Json, path: str) -> None:
        own = container.get("resources")
        if own is not None:
            check_resources({**(self.defaults.resources or {}), **own}, path, self.trees.report)

    def _check_mounts(self, container: _Json, path: str, volumes: list[str], where: str) -> None:
        own = container.get("volumeMounts", ())
        check_mounts(own, path, volumes, where, self.trees.report)
        taken = {mount["mountPath"] for mount in own}
        for index, mount in enumerate(self.defaults.volume_mounts or ()):
            if mount["mountPath"] not in taken and mount["name"] not in volumes and "${" not in mount["name"]:
                self.trees.report(
                    f"{_DEFAULTS}.volumeMounts[{index}].name",
                    f"no volume named {mount['name']!r}; declare it in {_DEFAULTS}.pod.volumes",
                )


def _container_of(script: Script) -> dict[str, Any]:
    """Return the fields of a script that are those of a container."""
    fields = {
        "image": script.image,
        "volumeMounts": script.volume_mounts,
        "resources": script.resources,
        "workingDir": script.working_dir,
    }
    return {name: value for name, value in fields.items() if value is not None}
