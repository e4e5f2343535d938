"""What a task can do: a module for each kind, and the table of them all.

A kind is added by its model in `task_kinds.py`, a field of `Task`, a module here, and an entry in the table. Nothing
else in the compile step tells kinds apart.
"""

from __future__ import annotations

from fairlead.api.kinds.approval import APPROVAL
from fairlead.api.kinds.http import HTTP
from fairlead.api.kinds.job import JOB
from fairlead.api.kinds.kind import NO_POD, OF_POD, CompiledKind, Context, Kind, TaskWork
from fairlead.api.kinds.pod import CONTAINER, SCRIPT
from fairlead.api.kinds.resource import RESOURCE
from fairlead.api.kinds.set_values import SET
from fairlead.api.kinds.subworkflow import SUBWORKFLOW
from fairlead.api.kinds.wait import WAIT

__all__ = ["KINDS", "NO_POD", "OF_POD", "CompiledKind", "Context", "Kind", "TaskWork"]

_ALL = (CONTAINER, SCRIPT, JOB, RESOURCE, SUBWORKFLOW, WAIT, APPROVAL, HTTP, SET)

#: By the field of a task, in the order in which they are named to people.
KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}
