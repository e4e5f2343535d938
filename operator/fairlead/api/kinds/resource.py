"""`resource`: any object of the cluster, followed until its status says that it has ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fairlead.api.kinds.asking import NamedTree, about, bound, compile_outputs
from fairlead.api.kinds.kind import NO_POD, CompiledKind, Context, Kind
from fairlead.api.manifests import check_manifest, compile_manifest
from fairlead.api.presets import PRESETS, Preset, advice, preset_for, refusals
from fairlead.api.rendering import Part, TreeCompiler
from fairlead.api.task import Task
from fairlead.api.task_kinds import OnCancel, Resource
from fairlead.api.work import RenderedResource
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import Scope, WorkKind
from fairlead.engine.templates import CompiledTree, FieldReference

__all__ = ["RESOURCE", "ResourceWork"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceWork:
    """An object, and how its status is read; implements `fairlead.engine.model.Work`.

    `path` is the field of the manifest, for what can only be said of it once it is rendered.
    """

    path: str
    manifest: Part
    preset: str | None
    success_when: CompiledTree
    failure_when: CompiledTree | None
    failure_message: CompiledTree | None
    outputs: tuple[NamedTree, ...]
    on_cancel: OnCancel
    kind: WorkKind = WorkKind.RESOURCE

    @property
    def references(self) -> tuple[FieldReference, ...]:
        """Everything that its expressions name."""
        own = (reference for tree in self._trees() for reference in tree.references)
        return (*self.manifest.references, *own)

    def _trees(self) -> Iterator[CompiledTree]:
        yield self.success_when
        if self.failure_when is not None:
            yield self.failure_when
        yield from (tree for _, tree in self.outputs)

    def evaluate(self, scope: Scope) -> RenderedResource:
        """Return the object with values in place of expressions. Raises `ExpressionError`."""
        manifest = self.manifest.evaluate(scope)
        namespace = (manifest.get("metadata") or {}).get("namespace")
        if namespace not in (None, scope["run"]["namespace"]):
            raise ExpressionError(
                f"{self.path}.metadata.namespace: must be {scope['run']['namespace']!r}, the namespace of the run, or "
                f"left out, not {namespace!r}"
            )
        return RenderedResource(
            manifest=manifest,
            preset=self.preset,
            successWhen=bound(self.success_when, scope),
            failureWhen=bound(self.failure_when, scope) if self.failure_when is not None else None,
            failureMessage=bound(self.failure_message, scope) if self.failure_message is not None else None,
            outputs=[(name, bound(tree, scope)) for name, tree in self.outputs],
            onCancel=self.on_cancel.value,
        )


def _compile(context: Context, task: Task, path: str) -> CompiledKind:
    assert task.resource is not None
    given, at = task.resource, f"{path}.resource"
    preset = PRESETS[given.preset] if given.preset is not None else None
    asked = about(context.trees, "object")
    check_manifest(given.manifest, f"{at}.manifest", context.report)
    if preset is not None:
        _check_preset(context, task, preset, given, f"{at}.manifest")
    work = ResourceWork(
        path=f"{at}.manifest",
        manifest=compile_manifest(context.trees, given.manifest, f"{at}.manifest"),
        preset=given.preset.value if given.preset is not None else None,
        success_when=_success(context, given, preset, asked, at),
        failure_when=_failure(context, task, preset, asked, at),
        failure_message=asked.value(f"${{{preset.message}}}", at) if preset and given.failure_when is None else None,
        outputs=tuple(compile_outputs(context, task, path, asked, "object")),
        on_cancel=given.on_cancel or OnCancel.DELETE,
    )
    return CompiledKind(work=work)


def _success(context: Context, given: Resource, preset: Preset | None, asked: TreeCompiler, at: str) -> CompiledTree:
    text = given.success_when
    if text is None:
        if preset is None:
            known = preset_for(given.manifest)
            hint = f"; for this kind there is `preset: {known.name}`" if known else ""
            context.report(f"{at}.successWhen", f"is required without `preset`{hint}")
        text = f"${{{preset.success}}}" if preset else "${false}"
    return asked.condition(text, f"{at}.successWhen")


def _failure(context: Context, task: Task, preset: Preset | None, asked: TreeCompiler, at: str) -> CompiledTree | None:
    assert task.resource is not None
    text = task.resource.failure_when
    if text is None and preset is not None:
        text = f"${{{preset.failure}}}"
    if text is not None:
        return asked.condition(text, f"{at}.failureWhen")
    if task.timeout_seconds is None and context.defaults.timeout_seconds is None and task.deadline_seconds is None:
        context.warn(at, "has no `failureWhen`, `preset` or time limit: if the object fails, the task goes on for ever")
    return None


def _check_preset(context: Context, task: Task, preset: Preset, given: Resource, path: str) -> None:
    found = given.manifest.get("apiVersion"), given.manifest.get("kind")
    if found != (preset.api_version, preset.kind) and None not in found:
        context.report(
            path,
            f"must be a {preset.kind} of {preset.api_version}, as the preset {preset.name} says, not a {found[1]} of "
            f"{found[0]}: write `successWhen` and `failureWhen` in place of `preset` for another kind",
        )
        return
    for place, message in refusals(preset, given.manifest):
        context.report(f"{path}.{place}", message)
    for place, message in advice(preset, given.manifest, retry_limit=_retry_limit(context, task)):
        context.warn(f"{path}.{place}", message)


def _retry_limit(context: Context, task: Task) -> int:
    for retry in (task.retry, context.defaults.retry):
        if retry is not None and retry.limit is not None:
            return retry.limit
    return 0


RESOURCE = Kind(name="resource", compile=_compile, unfit=NO_POD, output_source="object")
