"""What others have made of attempts, by what was stored: pods that ended well all the same, budgets that are spent."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from fairlead.api import labels
from fairlead.kube.resources import PODS, WORKFLOWS
from fairlead.testing.apiserver import Change

__all__ = ["CHILD_LIMIT", "spent_children", "succeeded_pods"]

#: How many pods the task of a sub-workflow may lose: its template says nothing, so it is what the contract says.
CHILD_LIMIT = 5

Attempt = tuple[str, int]


def succeeded_pods(journal: Iterable[Change]) -> set[str]:
    """Return the pods that have ended well while we held them: whatever was done to them, that was to be seen."""
    found = set()
    for change in journal:
        if change.resource != PODS.plural or change.after.get("status", {}).get("phase") != "Succeeded":
            continue
        if _is_given_up(change.before):
            continue
        if _is_held(change.after):
            found.add(change.key.name)
        elif _is_held(change.before) and not change.actor.startswith("fairlead"):
            found.discard(change.key.name)  # somebody has let go of it, perhaps before it was seen
    return found


def spent_children(journal: Iterable[Change], run: str, lost: Collection[str]) -> set[Attempt]:
    """Return the attempts of a run (by its UID) whose sub-workflows had to fail, as others have spent their budget.

    Their one task has lost one pod more than it may, and has had no other. What a run that is tried again carries is
    another attempt, with a budget of its own.
    """
    carries: dict[str, Attempt] = {}
    pods: dict[Attempt, list[str]] = defaultdict(list)
    for change in journal:
        metadata = change.after.get("metadata", {})
        if change.resource == WORKFLOWS.plural and _owner(metadata) == run:
            carries[change.uid] = _carried(metadata)
        elif change.resource == PODS.plural and change.verb == "create" and _owner(metadata) in carries:
            pods[carries[_owner(metadata)]].append(change.key.name)
    return {of for of, names in pods.items() if len(names) == CHILD_LIMIT + 1 and set(names) <= set(lost)}


def _carried(metadata: Mapping[str, Any]) -> Attempt:
    """Return the attempt that a sub-workflow carries: the one that it is called after, or what is noted on it."""
    annotations = metadata["annotations"]
    noted = json.loads(annotations.get(labels.CARRIES, "{}"))
    return annotations[labels.NODE], noted.get("attempt") or int(metadata["name"].rpartition("-")[2])


def _owner(metadata: Mapping[str, Any]) -> str:
    owners = metadata.get("ownerReferences") or ()
    return next((str(each["uid"]) for each in owners if each.get("controller")), "")


def _is_given_up(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod was deleted by force before it had ended: nobody waits for what its node says of it later."""
    forced = pod.get("metadata", {}).get("deletionGracePeriodSeconds") == 0
    return forced and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def _is_held(pod: Mapping[str, Any]) -> bool:
    return labels.FINALIZER in (pod.get("metadata", {}).get("finalizers") or ())
