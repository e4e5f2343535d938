"""What a `resource` task creates, and how its attempt stands by what the object says. Pure.

The verdict over an object is the user's (or a preset's): `failureWhen`, then `successWhen`. What is around it is ours:

- Nothing is judged while `status.observedGeneration` is older than `metadata.generation`: such a status is about
  something else. It counts as running as soon as it has a status at all; until then `startTimeoutSeconds` runs.
- A success counts however else the object stands; a failure does not count once the object is being deleted, for
  whatever its controller writes then follows from that.
- An expression that cannot be evaluated is not true *yet*: fields come as the controller gets on, and an attempt that
  was failed for a field that is late would leave its object running. It is shown as the reason, `ExpressionError`,
  and the task's own time limits bound how long. Only an output that cannot be read is an error: the object has ended.

The object has no finalizer of ours. It is read and written with the rights of the run's service account, which go
with the namespace: a Role may be deleted before the object is, and an object that nobody may release would hold its
namespace (or its CustomResourceDefinition) for ever. What follows from its end therefore waits for the record of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fairlead.api import labels
from fairlead.api.presets import name_rule
from fairlead.api.work import Bound, RenderedResource
from fairlead.engine.commands import StartAttempt
from fairlead.engine.endings import ENDINGS
from fairlead.engine.ends import outcome_of_ending
from fairlead.engine.events import AttemptSeen
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import FailureClass, Json
from fairlead.engine.state import Outcome, Result
from fairlead.kube.resources import SECRETS, Resource

from .pods import Owner, owner_reference, people_labels

__all__ = [
    "Identity",
    "has_status",
    "is_ours",
    "name_of",
    "observe_resource",
    "outcome_of_deletion",
    "resource_manifest",
    "trouble",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which attempt an object carries. `object_name` is the engine's; the object's own may be shorter."""

    node: str
    number: int
    object_name: str


def name_of(object_name: str, resource: Resource) -> str:
    """Return the name of the object of an attempt: the attempt's own, or another where its kind asks for that.

    What is cut is the part for people; the hash of the attempt's identity and its number stay.
    """
    rule = name_rule(resource.group, resource.kind)
    limit = rule.limit if rule.limit is not None else len(object_name) + 1
    letter = "x" if rule.letter_first and not object_name[0].isalpha() else ""
    head, digest, number = (letter + object_name).rsplit("-", 2)
    tail = f"-{digest}-{number}"
    return head[: limit - len(tail)].rstrip("-") + tail


def resource_manifest(owner: Owner, start: StartAttempt, resource: Resource, work: RenderedResource) -> dict[str, Any]:
    """Return the object of an attempt: the user's manifest under our name, with our labels beside the user's.

    It lacks the label that the operator watches pods and Jobs by: one that a user creates by a manifest is judged by
    the user's expressions alone. Its owner does not wait for it (`blockOwnerDeletion`): the service account would need
    a right to the Workflow's finalizers for that.
    """
    manifest = dict(work["manifest"])
    metadata = dict(manifest.get("metadata") or {})
    for field in ("generateName", "uid", "resourceVersion"):
        metadata.pop(field, None)
    ours = {labels.NODE: start.node, labels.RUN_NAME: owner.name, labels.RUN_UID: owner.uid}
    manifest["metadata"] = metadata | {
        "name": name_of(start.object_name, resource),
        "namespace": owner.namespace,
        "labels": {**(metadata.get("labels") or {}), **people_labels(owner, start), labels.MANAGED_BY: "fairlead"},
        "annotations": {**(metadata.get("annotations") or {}), **ours},
        "ownerReferences": [{**owner_reference(owner), "blockOwnerDeletion": False}],
    }
    return manifest


def is_ours(raw: Mapping[str, Any], run_uid: str) -> bool:
    """Tell whether an object under the name of an attempt is the attempt's: by its owner or, taken off, our note."""
    metadata = raw["metadata"]
    owners = [each["uid"] for each in metadata.get("ownerReferences") or () if each.get("controller")]
    return run_uid in owners or (not owners and (metadata.get("annotations") or {}).get(labels.RUN_UID) == run_uid)


def has_status(raw: Mapping[str, Any]) -> bool:
    """Tell whether the controller of an object has said anything about it."""
    return bool(raw.get("status"))


def observe_resource(
    raw: Mapping[str, Any],
    attempt: Identity,
    work: RenderedResource,
    *,
    started_at: datetime,
    running_at: datetime | None,
    ending: str,
    now: datetime,
) -> AttemptSeen:
    """Return how the attempt that an object carries stands. `ending` is why we asked for its end, "" if we did not."""
    deleting = "deletionTimestamp" in raw["metadata"]
    outcome, reason, message = None, "", ""
    if _is_current(raw):
        outcome, reason, message = _judge(raw, work, deleting, now)
    if outcome is None or outcome.result is not Result.SUCCEEDED:
        if ending in ENDINGS and not deleting and (outcome is not None or work["onCancel"] == "Leave"):
            left = "the object was left to itself, as `onCancel` says" if work["onCancel"] == "Leave" else ""
            outcome = outcome_of_ending(ending, now, left)
        elif deleting:
            reason, message = "Terminating", ""
        elif not has_status(raw):
            reason, message = "NoStatus", f"nothing has taken up this {raw.get('kind', 'object')} yet"
    return AttemptSeen(
        node=attempt.node,
        number=attempt.number,
        object_name=attempt.object_name,
        started_at=started_at,
        running_at=running_at,
        reason="" if outcome else reason,
        message="" if outcome else message,
        ending=ending,
        deleting=deleting,
        outcome=outcome,
    )


def outcome_of_deletion(kind: str, name: str, now: datetime, why: str = "") -> Outcome:
    """Return the outcome of an attempt whose object was taken away by somebody else before its end was seen."""
    return Outcome(
        result=Result.FAILED,
        finished_at=now,
        failure_class=FailureClass.INFRASTRUCTURE,
        reason="ResourceDeleted",
        message=why or f"somebody deleted the {kind} {name} before it had ended",
    )


def trouble(error: ExpressionError, seen: Mapping[str, Any]) -> str:
    """Return why an expression has no value for an object: nothing that could be in it for a Secret (invariant S17)."""
    return "the expression cannot be evaluated" if _is_secret(seen) else error.message


def _is_secret(seen: Mapping[str, Any]) -> bool:
    return seen.get("kind") == SECRETS.kind


def _is_current(raw: Mapping[str, Any]) -> bool:
    status = raw.get("status")
    observed = status.get("observedGeneration") if isinstance(status, Mapping) else None
    generation = raw["metadata"].get("generation")
    return not isinstance(observed, int) or not isinstance(generation, int) or observed >= generation


def _judge(
    raw: Mapping[str, Any], work: RenderedResource, deleting: bool, now: datetime
) -> tuple[Outcome | None, str, str]:
    """Return the outcome, or why there is none yet (reason and message)."""
    seen = _seen_by_expressions(raw)
    failed, problem = (False, "") if deleting else _ask("failureWhen", work["failureWhen"], seen)
    if failed:
        return _failure(work, seen, now), "", ""
    succeeded, unclear = _ask("successWhen", work["successWhen"], seen)
    if succeeded:
        return _success(work, seen, now), "", ""
    problem = problem or unclear
    return None, ("ExpressionError" if problem and has_status(raw) else ""), problem if has_status(raw) else ""


def _ask(name: str, condition: Bound | None, seen: dict[str, Json]) -> tuple[bool, str]:
    """Return whether a condition is true, and what keeps it from being evaluated."""
    if condition is None:
        return False, ""
    try:
        value = condition.evaluate(object=seen)
    except ExpressionError as error:
        return False, f"{name}: {trouble(error, seen)}"
    if isinstance(value, bool):
        return value, ""
    return False, f"{name}: must be true or false" + ("" if _is_secret(seen) else f", it is {value!r}")


def _success(work: RenderedResource, seen: dict[str, Json], now: datetime) -> Outcome:
    values: dict[str, Json] = {}
    for name, output in work["outputs"]:
        try:
            values[name] = output.evaluate(object=seen)
        except ExpressionError as error:
            return Outcome(
                result=Result.FAILED,
                finished_at=now,
                failure_class=FailureClass.USER,
                reason="OutputInvalid",
                message=f"output {name!r}: {trouble(error, seen)}",
            )
    return Outcome(result=Result.SUCCEEDED, finished_at=now, values=values)


def _failure(work: RenderedResource, seen: dict[str, Json], now: datetime) -> Outcome:
    message = "its condition failureWhen is true"
    if work["failureMessage"] is not None:
        try:
            message = str(work["failureMessage"].evaluate(object=seen) or message)
        except ExpressionError as error:
            message = f"{message} (its message cannot be had: {trouble(error, seen)})"
    return Outcome(
        result=Result.FAILED,
        finished_at=now,
        failure_class=FailureClass.USER,
        reason="ResourceFailed",
        message=message,
    )


def _seen_by_expressions(raw: Mapping[str, Any]) -> dict[str, Json]:
    # Who set which field is of no use to an expression, and often most of the object.
    return {**raw, "metadata": {key: value for key, value in raw["metadata"].items() if key != "managedFields"}}
