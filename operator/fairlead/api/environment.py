"""The variables that every attempt finds in its environment, in a cluster and on one's own machine. Pure."""

from __future__ import annotations

from fairlead.engine.commands import StartAttempt
from fairlead.engine.names import task_and_index

__all__ = ["FILES", "OUTPUTS", "RESERVED", "TRACEPARENT", "WORKSPACE", "identity"]

#: What all of them begin with; no variable of a user's may.
RESERVED = "FAIRLEAD_"

#: Names the file that the task writes its outputs to.
OUTPUTS = "FAIRLEAD_OUTPUTS"


#: Names the directory of `files` with a relative path; only there where a task has such.
FILES = "FAIRLEAD_FILES"

#: Names the directory that the tasks of a run share; only there where the run has a `workspace`.
WORKSPACE = "FAIRLEAD_WORKSPACE"

#: The span that what a task does belongs below, as W3C's trace context says it; only there where runs are traced.
TRACEPARENT = "TRACEPARENT"


def identity(run_name: str, start: StartAttempt) -> dict[str, str]:
    """Return the variables that tell an attempt who it is."""
    task, _ = task_and_index(start.node)
    variables = {"FAIRLEAD_WORKFLOW": run_name, "FAIRLEAD_TASK": task}
    if start.index is not None:
        variables["FAIRLEAD_ITEM_INDEX"] = str(start.index)
    return variables | {"FAIRLEAD_ATTEMPT": str(start.number)}
