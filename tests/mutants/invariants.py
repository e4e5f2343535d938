"""The invariants in short, by their names."""

from __future__ import annotations

__all__ = ["INVARIANTS", "NOT_BUILT"]

INVARIANTS = {
    "S1": "At most one live pod for an attempt, and never more than one created.",
    "S2": "No pod is created unless every dependency's outcome is durable.",
    "S3": "Terminal is final; phases move along the table. Only a retry opens a new epoch.",
    "S4": "An outcome is on record before its pod is let go of or deleted; each attempt counts once.",
    "S5": "Attempts stay within their budget, each class within its own; back-off survives a restart.",
    "S6": "What runs stays within the limits at every level; no slot leaks.",
    "S7": "Once suspend or stop is observed, no new pod is created for that run.",
    "S8": "We write our status, what we control, our finalizers and labels. Every delete names a UID. Never the spec.",
    "S9": "`observedGeneration` is the one that was observed; a condition's time moves only with its status.",
    "S10": "An unchanged world causes no writes.",
    "S11": "Determinism: same inputs, same plan, whatever their order and the hash seed.",
    "S12": "Two controllers alive at once keep all of this.",
    "S13": "So do stale and replayed snapshots.",
    "S15": "Objects stay under the size cap; truncation drops no terminal fact.",
    "S16": "A status of the release before is understood; fields of the one after are kept.",
    "S17": "Values from Secrets reach no status, event or log.",
    "L1": "Every run reaches its correct end, and stays there.",
    "L2": "Deletion always completes.",
    "L3": "A dead or silent watch is noticed; the probe turns red if it stays so.",
    "L4": "A poison object cannot stop the others.",
    "L5": "Deadlines and timers fire without any event.",
}

NOT_BUILT = {"S14": "At most one run for a schedule's instant: there are no schedules yet."}
