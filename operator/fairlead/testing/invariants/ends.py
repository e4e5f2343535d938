"""S3, S4: what is final stays so, and the end of an attempt is on record before its object may vanish.

S4 accepts a release without a record where nothing can be lost by it: the run is gone, is being deleted, or its
namespace is; the run is over and the attempt was never on record (it came to be after its node had ended); the node is
over by what is on record; the operator itself had the object ended as superfluous; or somebody else has taken off what
tells whose the object is.

The three lease times are not asked for of an object that an operator wanted to end, and that says so: that request may
have been under way while another operator recorded an end of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from fairlead.api import labels
from fairlead.api.retention import LEAST_SECONDS
from fairlead.engine.names import task_and_index
from fairlead.kube.resources import WORKFLOWS

from .objects import controller, finished, has_ended, is_held
from .world import Carrier, Run, Step

__all__ = ["attempts_stay_ended", "kept_after_record", "nodes_stay_ended", "recorded_before_release", "runs_stay_ended"]


def nodes_stay_ended(step: Step) -> Iterator[str]:
    """S3: a node that is on record as ended is so until another epoch begins."""
    run = step.run
    if run is None or not step.operator or run.deleting or step.epoch != run.record.epoch:
        return
    for node, _, after in step.moves:
        end = run.record.ends.get(node)
        now = "nothing" if after is None else after["phase"]
        if end is not None and now != end:
            yield f"{run}: {node!r} was recorded as {end}, and is {now} now, in the same epoch {step.epoch}"


def attempts_stay_ended(step: Step) -> Iterator[str]:
    """S3: an attempt that is on record as ended does not go on."""
    if step.run is None or not step.operator:
        return
    for node, before, after in step.moves:
        if before is None or after is None:
            continue
        over = {each["number"] for each in before.get("attempts") or () if each.get("completionTime")}
        still = {each["number"] for each in after.get("attempts") or () if each.get("completionTime")}
        if lost := over - still:
            yield f"{step.run}: the end of attempt {min(lost)} of {node!r} was on record, and is not any more"


def runs_stay_ended(step: Step) -> Iterator[str]:
    """S3: a run that is over stays so, and as it has ended, until another epoch begins. A refused one may be mended."""
    change, run = step.change, step.run
    if change.resource != WORKFLOWS.plural or run is None or not step.operator or change.subresource != "status":
        return
    before, after = change.before.get("status") or {}, change.after.get("status") or {}
    if not finished(before) or before.get("epoch", 1) != after.get("epoch", 1):
        return
    was, now = _verdict(before), _verdict(after)
    if was[1] != "InvalidSpec" and (was[0], finished(before)) != (now[0], finished(after)):
        yield f"{run} had ended with Succeeded={was[0]}; now Succeeded={now[0]}, Finished={finished(after)}"


def recorded_before_release(step: Step) -> Iterator[str]:
    """S4: our finalizer comes off an object only once the end of its attempt is on record."""
    carrier, change = step.carrier, step.change
    if carrier is None or not step.operator or carrier.plural == WORKFLOWS.plural:
        return
    run = carrier.run
    if is_held(change.before) and not is_held(change.after) and not _may_go(step, run, carrier):
        yield f"{carrier} was released, and {_missing(run, carrier)}"


def kept_after_record(step: Step) -> Iterator[str]:
    """S4, S12: what has ended is deleted only once that is on record, and not within three lease times after it."""
    carrier, change = step.carrier, step.change
    if carrier is None or not step.operator or not change.before or is_held(change.before):
        return
    run = carrier.run
    ends = change.verb == "delete" or _is_marked(step)
    if not ends or not has_ended(carrier.plural, change.before) or carrier.tampered:
        return
    if "deletionTimestamp" in change.before["metadata"] or _run_is_over(step, run):
        return
    at = run.record.ended.get((carrier.node, carrier.number))
    wanted = labels.ENDING in (change.before["metadata"].get("annotations") or {})
    if at is None:
        if not _may_go(step, run, carrier):
            yield f"{carrier} was deleted, and {_missing(run, carrier)}"
    elif not wanted and change.moment < at + timedelta(seconds=LEAST_SECONDS):
        yield f"{carrier} was deleted at {change.moment}, less than {LEAST_SECONDS} s after its end was recorded"


def _missing(run: Run, carrier: Carrier) -> str:
    phase = run.record.entries.get(carrier.node, {}).get("phase", "nothing")
    return f"the end of that attempt is not on record ({carrier.node!r}: {phase})"


def _may_go(step: Step, run: Run, carrier: Carrier) -> bool:
    if (
        run.record.has_ended(carrier.node, carrier.number)
        or run.deleting
        or run.key.namespace in step.world.terminating
    ):
        return True
    before = step.change.before["metadata"]
    if (before.get("annotations") or {}).get(labels.ENDING) == "Superseded":
        return True
    own = before.get("labels") or {}
    if controller(step.change.before).get("uid") != run.uid or own.get(labels.RUN_UID) != run.uid:
        return True
    if run.record.knows(carrier.node, carrier.number):
        return False
    task = task_and_index(carrier.node)[0]
    return finished(run.record.status) or bool(run.record.end_of(carrier.node) or run.record.end_of(task))


def _run_is_over(step: Step, run: Run) -> bool:
    return run.deleting or finished(run.record.status) or run.key.namespace in step.world.terminating


def _is_marked(step: Step) -> bool:
    before, after = step.change.before.get("metadata", {}), step.change.after.get("metadata", {})
    return "deletionTimestamp" in after and "deletionTimestamp" not in before


def _verdict(status: object) -> tuple[str, str]:
    assert isinstance(status, dict)
    for each in status.get("conditions") or ():
        if each.get("type") == "Succeeded":
            return str(each.get("status")), str(each.get("reason"))
    return "", ""
