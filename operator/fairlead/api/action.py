"""`WorkflowAction` v1alpha1: what somebody asks of a run, as an object of its own.

So RBAC can allow it apart from editing Workflows, GitOps sees no drift, and who asked what, when, stays on record. An
action is one request: its spec never changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from fairlead.api.fields import ApiModel, Text
from fairlead.api.objects import ApiObject, Conditions, Generation
from fairlead.api.parsing import parse_model, without_nulls
from fairlead.api.problems import Problem
from fairlead.engine.model import ActionKind, StopMode

__all__ = ["RequestedBy", "WorkflowAction", "WorkflowActionSpec", "WorkflowActionStatus", "check_action"]

_MAX_TASKS = 1000
_MAX_VALUES_BYTES = 65_536

#: A task, a group, or an item of a `forEach` task (`load[3]`).
_NodeName: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=80, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\[[0-9]+\])?$")
]
_UserName: TypeAlias = Annotated[str, Field(min_length=1, max_length=1024)]


class _Use(NamedTuple):
    """Which actions may have a field, which cannot do without it, and what it is."""

    allowed: frozenset[ActionKind]
    required: frozenset[ActionKind] = frozenset()
    what: str = ""


_A = ActionKind
_ON_TASKS = frozenset({_A.CLEAR, _A.MARK, _A.APPROVE, _A.REJECT, _A.COMPLETE, _A.HEARTBEAT})
_BY_TOKEN = frozenset({_A.COMPLETE, _A.HEARTBEAT})
_MARK = frozenset({_A.MARK})
_STOP = frozenset({_A.STOP})
_USES = {
    "tasks": _Use(_ON_TASKS | {_A.RETRY}, _ON_TASKS, "names of tasks, items (`load[3]`) or groups"),
    "phase": _Use(_MARK, _MARK, "Succeeded, Failed or Skipped"),
    "mode": _Use(_STOP, _STOP, "Graceful, Cancel or Terminate"),
    "values": _Use(frozenset({_A.APPROVE, _A.REJECT, _A.COMPLETE, _A.MARK})),
    "token": _Use(_BY_TOKEN | {_A.REJECT}, _BY_TOKEN, "the name of the attempt, from the task's status"),
    "revision": _Use(frozenset({_A.RETRY, _A.CLEAR})),
}


class RequestedBy(ApiModel):
    """Who asks."""

    username: _UserName = Field(description="The name of the user, as the API server knows it.")
    groups: Annotated[list[_UserName], Field(max_length=1000)] | None = Field(
        default=None, description="Groups of the user that the request relies on."
    )


class WorkflowActionSpec(ApiModel):
    """One request."""

    workflow_name: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="The name of the Workflow, in the same namespace."
    )
    workflow_uid: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        alias="workflowUID",
        description="The UID of the Workflow, so that a request never meets another run of the same name.",
    )
    action: Annotated[ActionKind, Field(strict=False)] = Field(
        description="`Retry` runs again what failed in a finished run, `Clear` the named tasks and all that depends on "
        "them. `Mark` gives tasks a phase. `Stop` ends the run. `Approve` and `Reject` answer an `approval`, "
        "`Complete`, `Reject` and `Heartbeat` a `wait` with `callback`."
    )
    tasks: Annotated[list[_NodeName], Field(min_length=1, max_length=_MAX_TASKS)] | None = Field(
        default=None,
        description="Names of tasks, items (`load[3]`) or groups. Required but for Retry, which takes all that failed "
        "by default, and Stop.",
    )
    phase: Literal["Succeeded", "Failed", "Skipped"] | None = Field(
        default=None, description="What the tasks become. Required for Mark, and for nothing else."
    )
    mode: Annotated[StopMode, Field(strict=False)] | None = Field(
        default=None,
        description="`Graceful` lets what runs finish, `Cancel` ends it, both run `finally`; `Terminate` ends it "
        "without `finally`. Required for Stop, and for nothing else.",
    )
    values: (
        Annotated[
            dict[str, Any], Field(max_length=256, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
        ]
        | None
    ) = Field(
        default=None,
        description="For Approve and Reject the option and the values of the form, for Complete and Mark the outputs, "
        "by name.",
    )
    token: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None,
        description="The name of the attempt that Complete, Reject or Heartbeat is about, as in "
        "`status.tasks[].attempts[].podName`; an answer to an earlier one is not accepted.",
    )
    revision: Literal["Pinned", "Latest"] | None = Field(
        default=None,
        description="For Retry and Clear: the definition that the run began with, or the present one of its template. "
        "Default: `Pinned`.",
    )
    reason: Text | None = Field(default=None, description="Why, for people and the record.")
    requested_by: RequestedBy | None = Field(
        default=None,
        description="Who asks. Checked against the request's user where the admission policy is installed.",
    )


class WorkflowActionStatus(ApiModel):
    """What became of the request."""

    observed_generation: Generation | None = Field(
        default=None, description="The generation of the spec that this status belongs to."
    )
    conditions: Conditions | None = Field(
        default=None,
        description="Accepted: False when the request cannot be met, with the reason; nothing has changed then. "
        "Completed: True once the operator is through with it: its effect, or its refusal, is on record. Stalled: "
        "True where it was refused.",
    )


def _rules() -> Iterator[JsonDict]:
    yield {
        "rule": "self.spec == oldSelf.spec",
        "fieldPath": ".spec",
        "message": "must not change: an action is one request; create another",
    }
    for name, (allowed, required, what) in _USES.items():
        field = f"self.spec.{name}"
        if required:
            yield {
                "rule": f"has({field}) || !({_is_one_of(required)})",
                "fieldPath": f".spec.{name}",
                "message": f"is required for {_listed(required)}: {what}",
            }
        yield {
            "rule": f"!has({field}) || {_is_one_of(allowed)}",
            "fieldPath": f".spec.{name}",
            "message": f"must not be set but for {_listed(allowed)}",
        }


def _is_one_of(actions: frozenset[ActionKind]) -> str:
    return f"self.spec.action in [{', '.join(repr(action.value) for action in sorted(actions))}]"


def _listed(actions: frozenset[ActionKind]) -> str:
    *others, last = sorted(actions)
    return f"{', '.join(others)} and {last}" if others else last


class WorkflowAction(ApiObject):
    """A request on a run: stop, retry, clear, mark, approve."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [*_rules()]})

    KIND: ClassVar[str] = "WorkflowAction"
    PLURAL: ClassVar[str] = "workflowactions"

    spec: WorkflowActionSpec = Field(description="The request. It never changes.")
    status: WorkflowActionStatus | None = Field(default=None, description="What became of it, written by the operator.")


def check_action(spec: Any) -> list[Problem]:
    """Return everything that is wrong with the spec of an action, whatever the run; see the engine for the rest."""
    if not isinstance(spec, Mapping):
        return [Problem("spec", "must be an object")]
    raw = without_nulls(spec)
    _, problems = parse_model(WorkflowActionSpec, raw, "spec")
    if raw.get("action") in list(ActionKind):
        problems += _misplaced(raw, ActionKind(raw["action"]))
    return problems


def _misplaced(raw: Mapping[str, Any], action: ActionKind) -> Iterator[Problem]:
    """Yield what does not go together."""
    for name, (allowed, required, what) in _USES.items():
        if action in required and name not in raw:
            yield Problem(f"spec.{name}", f"is required for {action}: {what}")
        elif name in raw and action not in allowed:
            yield Problem(f"spec.{name}", f"must not be set for {action}, only for {_listed(allowed)}")
    tasks = raw.get("tasks")
    if isinstance(tasks, list):
        for index, name in enumerate(tasks):
            if name in tasks[:index]:
                yield Problem(f"spec.tasks[{index}]", f"names {name!r} a second time")
        if "token" in raw and len(tasks) > 1 and action in _USES["token"].allowed:
            yield Problem("spec.tasks", "must name one task where there is a `token`, which belongs to one attempt")
    if "values" in raw and action is ActionKind.MARK and raw.get("phase") not in {None, "Succeeded"}:
        yield Problem(
            "spec.values", f"must not be set where `phase` is {raw['phase']}: only what Succeeded has outputs"
        )
    size = len(json.dumps(raw.get("values"), ensure_ascii=False, default=str).encode("utf-8", "surrogatepass"))
    if size > _MAX_VALUES_BYTES:
        yield Problem("spec.values", f"has {size:,} bytes as JSON; at most {_MAX_VALUES_BYTES:,} are allowed")
