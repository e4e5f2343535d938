"""A task's work with its expressions compiled: the engine's `Work`, which renders to a `RenderedWork`.

`command`, `args` and `env` of a container are where the kubelet expands `$(VAR)`, so values are escaped there,
and only there. A script's source is never looked at: values must not become code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from fairlead.api.defaults import fill_container, main_container, merge_pod
from fairlead.api.work import KubernetesObject, RenderedFile, RenderedScript, RenderedWork
from fairlead.engine.expressions import Declarations, Evaluator
from fairlead.engine.model import Scope, ValueType, WorkKind
from fairlead.engine.templates import MAX_TEXT_BYTES, CompiledTree, FieldReference, compile_tree

__all__ = ["CompiledWork", "Defaults", "Part", "TreeCompiler", "copied"]

_Json = Mapping[str, Any]

_EXPANDED = ("command", "args", "env")


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeCompiler:
    """Compiles the trees of one workflow: what they share is given once."""

    evaluator: Evaluator
    declarations: Declarations
    report: Callable[[str, str], None]

    def tree(self, value: Any, path: str, *, escape: bool = False, max_bytes: int = MAX_TEXT_BYTES) -> CompiledTree:
        """Compile a tree whose texts stay texts, as in all Kubernetes objects."""
        return compile_tree(
            value,
            path=path,
            evaluator=self.evaluator,
            declarations=self.declarations,
            report=self.report,
            text_only=True,
            escape=escape,
            max_bytes=max_bytes,
        )

    def value(self, value: Any, path: str, *, max_bytes: int = MAX_TEXT_BYTES) -> CompiledTree:
        """Compile a tree in which a whole expression keeps the type of its value."""
        return compile_tree(
            value,
            path=path,
            evaluator=self.evaluator,
            declarations=self.declarations,
            report=self.report,
            max_bytes=max_bytes,
        )

    def condition(self, text: str, path: str) -> CompiledTree:
        """Compile an expression that must be true or false."""
        failed: list[str] = []

        def report(field: str, message: str) -> None:
            failed.append(field)
            self.report(field, message)

        tree = replace(self, report=report).value(text, path)
        if tree.is_constant:
            if not failed:
                self.report(path, f"must be an expression, such as ${{{text.strip() or 'true'}}}")
        elif tree.type not in {ValueType.BOOLEAN, None}:
            self.report(path, f"must be true or false, but the expression is of type {tree.type}")
        return tree

    def container(self, value: _Json, path: str) -> Part:
        """Compile a container, or anything with the fields of one."""
        expanded = {key: value[key] for key in _EXPANDED if key in value}
        rest = {key: item for key, item in value.items() if key not in _EXPANDED}
        return Part(self.tree(rest, path), (((), self.tree(expanded, path, escape=True)),))

    def pod(self, value: _Json, path: str, place: tuple[str, ...] = ()) -> Part:
        """Compile a pod's fields; with `place`, an object that has them there (a JobSpec: `template`, `spec`)."""
        if not value:
            return Part(self.tree({}, path))
        rest = copied(value)
        pod, at = rest, path
        for name in place:
            pod, at = pod.get(name, {}), f"{at}.{name}"
        inner: list[tuple[tuple[str | int, ...], CompiledTree]] = []
        for name in ("initContainers", "containers"):
            for index, container in enumerate(pod.get(name, ())):
                expanded = {key: container.pop(key) for key in _EXPANDED if key in container}
                tree = self.tree(expanded, f"{at}.{name}[{index}]", escape=True)
                inner.append(((*place, name, index), tree))
        return Part(self.tree(rest, path), tuple(inner))


@dataclass(frozen=True, slots=True)
class Part:
    """An object, and by their places in it the parts whose values are escaped."""

    tree: CompiledTree
    escaped: tuple[tuple[tuple[str | int, ...], CompiledTree], ...] = ()

    @property
    def references(self) -> tuple[FieldReference, ...]:
        """Everything that its expressions name."""
        return (*self.tree.references, *(ref for _, tree in self.escaped for ref in tree.references))

    def evaluate(self, scope: Scope) -> KubernetesObject:
        """Return the object with values in place of expressions, as a fresh tree. Raises `ExpressionError`."""
        rendered: KubernetesObject = copied(self.tree.evaluate(scope))
        for place, tree in self.escaped:
            target: Any = rendered
            for key in place:
                target = target[key]
            target.update(copied(tree.evaluate(scope)))
        return rendered


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """`taskDefaults`, compiled once for all tasks: the fields of containers, and those of pods."""

    container: Part
    pod: Part

    @property
    def references(self) -> tuple[FieldReference, ...]:
        """Everything that its expressions name."""
        return (*self.container.references, *self.pod.references)


class Files(Protocol):
    """The `files` of a task, compiled."""

    @property
    def references(self) -> tuple[FieldReference, ...]:
        """Everything that their expressions name."""
        ...

    def evaluate(self, scope: Scope) -> list[RenderedFile]:
        """Return the files. Raises `ExpressionError`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledWork:
    """What a task does; implements `fairlead.engine.model.Work`.

    `main` is the container (of a script: its fields of one) or the JobSpec, `env` the task's own variables.
    """

    kind: WorkKind
    main: Part
    env: CompiledTree
    files: Files
    pod: Part
    defaults: Defaults
    script: RenderedScript | None = field(default=None)

    @property
    def references(self) -> tuple[FieldReference, ...]:
        """Everything that the task's own expressions name."""
        return (*self.main.references, *self.env.references, *self.files.references, *self.pod.references)

    def evaluate(self, scope: Scope) -> RenderedWork:
        """Return the work with values in place of expressions. Raises `ExpressionError`."""
        main = self.main.evaluate(scope)
        env: Sequence[_Json] = self.env.evaluate(scope)
        defaults = self.defaults.container.evaluate(scope)
        pod = self.defaults.pod.evaluate(scope)
        files = self.files.evaluate(scope)
        if self.kind is WorkKind.JOB:
            spec = _complete_job(main, env, defaults, pod)
            return RenderedWork(kind="Job", container={}, script=None, files=files, pod={}, jobSpec=spec)
        fill_container(main, env, defaults)
        script = self.script and RenderedScript(
            source=self.script["source"], interpreter=list(self.script["interpreter"])
        )
        pod = merge_pod(pod, self.pod.evaluate(scope))
        return RenderedWork(kind="Pod", container=main, script=script, files=files, pod=pod, jobSpec=None)


def _complete_job(spec: KubernetesObject, env: Sequence[_Json], defaults: _Json, pod: _Json) -> KubernetesObject:
    own = spec["template"]["spec"]
    found = main_container(own)
    if found is not None:
        fill_container(found[1], env, defaults)
    spec["template"]["spec"] = {"restartPolicy": "Never", **merge_pod(pod, own)}
    return spec


def copied(value: Any) -> Any:
    """Return a copy of plain JSON; many times as fast as `copy.deepcopy`."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value
