"""`approval`: somebody decides, and may fill in a form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.api.declared import Parameter, declared_types
from fairlead.api.kinds.kind import NO_POD, CompiledKind, Context, Kind
from fairlead.api.parameters import ValueChecker
from fairlead.api.task import Task
from fairlead.api.task_kinds import Approval, OnTimeout
from fairlead.api.work import RenderedApproval
from fairlead.engine.model import Json, OutputDeclaration, Scope, ValueType, WorkKind
from fairlead.engine.templates import CompiledTree, FieldReference

__all__ = ["APPROVAL", "ApprovalWork"]

_OPTIONS = ["Approve"]

#: What every approval hands on: what was chosen, by whom, and when.
_OUTCOME = {"option": ValueType.STRING, "by": ValueType.STRING, "at": ValueType.STRING}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalWork:
    """What is asked, and whom; implements `fairlead.engine.model.Work`."""

    message: CompiledTree
    options: tuple[str, ...]
    form: tuple[dict[str, Json], ...]
    users: CompiledTree
    groups: CompiledTree
    on_timeout: OnTimeout
    kind: WorkKind = WorkKind.APPROVAL

    @property
    def references(self) -> tuple[FieldReference, ...]:
        """Everything that its expressions name."""
        return (*self.message.references, *self.users.references, *self.groups.references)

    def evaluate(self, scope: Scope) -> RenderedApproval:
        """Return the question with values in place of expressions. Raises `ExpressionError`."""
        return RenderedApproval(
            message=self.message.evaluate(scope),
            options=list(self.options),
            form=[dict(field) for field in self.form],
            users=list(self.users.evaluate(scope)),
            groups=list(self.groups.evaluate(scope)),
            onTimeout=self.on_timeout.value,
        )


def _compile(context: Context, task: Task, path: str) -> CompiledKind:
    assert task.approval is not None
    approval, at, trees = task.approval, f"{path}.approval", context.trees
    _check(context, approval, at)
    work = ApprovalWork(
        message=trees.tree(approval.message, f"{at}.message"),
        options=tuple(approval.options or _OPTIONS),
        form=tuple(field.model_dump(mode="json", by_alias=True, exclude_unset=True) for field in approval.form or ()),
        users=trees.tree(approval.users or [], f"{at}.users"),
        groups=trees.tree(approval.groups or [], f"{at}.groups"),
        on_timeout=approval.on_timeout or OnTimeout.REJECT,
    )
    return CompiledKind(work=work, outputs=tuple(_declarations(approval)), run_seconds=approval.timeout_seconds)


def _check(context: Context, approval: Approval, at: str) -> None:
    report = context.report
    if approval.on_timeout is not None and approval.timeout_seconds is None:
        report(f"{at}.onTimeout", "must not be set without `timeoutSeconds`: a decision is waited for without limit")
    options = approval.options or ()
    for index, option in enumerate(options):
        if option in options[:index]:
            report(f"{at}.options[{index}]", f"{option!r} is there twice; options must be unique")
    checker = ValueChecker(context.trees.evaluator, report)
    seen: set[str] = set()
    for index, field in enumerate(approval.form or ()):
        _check_field(checker, approval, field, f"{at}.form[{index}]", seen)
        seen.add(field.name)


def _check_field(checker: ValueChecker, approval: Approval, field: Parameter, at: str, seen: set[str]) -> None:
    if field.name in _OUTCOME:
        checker.report(f"{at}.name", f"must be another name: the output {field.name!r} is there by itself")
    elif field.name in seen:
        checker.report(f"{at}.name", f"another field is named {field.name!r}, too; names must be unique")
    checker.declaration(field, at)
    if "default" in field.model_fields_set:
        checker.value(field.default, field, f"{at}.default")
    elif approval.on_timeout is OnTimeout.APPROVE:
        checker.report(f"{at}.default", "is required with `onTimeout: Approve`, which fills in the defaults")


def _declarations(approval: Approval) -> Iterator[OutputDeclaration]:
    for name, type_ in _OUTCOME.items():
        yield OutputDeclaration(name=name, type=type_)
    for field in approval.form or ():
        has_default = "default" in field.model_fields_set
        yield OutputDeclaration(name=field.name, type=field.type, has_default=has_default, default=field.default)


def _outputs(raw: Any) -> Mapping[str, ValueType | None]:
    return {**declared_types(raw.get("form") if isinstance(raw, Mapping) else None), **_OUTCOME}


APPROVAL = Kind(
    name="approval",
    compile=_compile,
    default_timeout=False,
    outputs=_outputs,
    unfit=NO_POD
    | {
        "outputs": "its outputs are `option`, `by`, `at` and the values of its `form`",
        "retry": "what somebody has decided is not asked again",
        "timeoutSeconds": "use `approval.timeoutSeconds`",
        "startTimeoutSeconds": "it starts at once",
        "queueTimeoutSeconds": "it waits for no slot",
        "priority": "it waits for no slot",
    },
)
