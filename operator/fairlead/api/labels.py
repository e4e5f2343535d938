"""The labels, annotations and the finalizer that Fairlead writes: part of its contract with users' tools."""

from __future__ import annotations

__all__ = [
    "ATTEMPT",
    "BUCKET",
    "CARRIES",
    "DEPTH",
    "ENDING",
    "FINAL",
    "FINALIZER",
    "ITEM",
    "ITERATION",
    "LEASE",
    "MANAGED_BY",
    "NODE",
    "RESULT",
    "RUN",
    "RUN_NAME",
    "RUN_UID",
    "SUSPENDED",
    "TASK",
    "TRACEPARENT",
]

#: Label: the run's name, hashed where it is too long for a label. For people: `kubectl get pods -l …`.
RUN = "fairlead.dev/workflow"

#: Label: the run's UID. What the operator watches by.
RUN_UID = "fairlead.dev/workflow-uid"

#: Label: the task's name.
TASK = "fairlead.dev/task"

#: Label: the index of a `forEach` task's item, from 0; not there on others.
ITEM = "fairlead.dev/item"

#: Label: the number of the attempt, from 1.
ATTEMPT = "fairlead.dev/attempt"

#: Label: how the attempt ended (Succeeded, Failed, Cancelled), once that is on record.
RESULT = "fairlead.dev/result"

#: Label: the run's bucket, 0 to 255.
BUCKET = "fairlead.dev/bucket"

#: Label of a sub-workflow: how many Workflows are above it. One that a user made has none.
DEPTH = "fairlead.dev/depth"

#: Label of the operator's Leases: `replica` of one that stands for a replica, `buckets` of one that says whose runs
#: some buckets' are.
LEASE = "fairlead.dev/lease"

#: Label of Kubernetes' recommended set, with the value `fairlead`.
MANAGED_BY = "app.kubernetes.io/managed-by"

#: Annotation: the full name of the node; `m[3]` is no value for a label.
NODE = "fairlead.dev/node"

#: Annotation: the round of a `repeat` task, from 2.
ITERATION = "fairlead.dev/iteration"

#: Annotation: the full name of the run.
RUN_NAME = "fairlead.dev/workflow-name"

#: Annotation of a sub-workflow that was retried: the attempt of its parent's task that it carries now, as JSON.
CARRIES = "fairlead.dev/carries"

#: Annotation of a sub-workflow: it belongs to its parent's `finally`, which suspension leaves alone.
FINAL = "fairlead.dev/final"

#: Annotation of a sub-workflow: it was suspended with its parent, and is to be resumed with it.
SUSPENDED = "fairlead.dev/suspended-with-parent"

#: Annotation of a Workflow: the W3C `traceparent` of the span that its trace belongs below.
TRACEPARENT = "fairlead.dev/traceparent"

#: Annotation: why we asked for the end of this object, written before we delete it.
ENDING = "fairlead.dev/ending"

#: Finalizer: keeps a finished object until its outcome is recorded, and the shards that a large run is recorded in.
FINALIZER = "fairlead.dev/outcome"
