"""An API server in memory: requests in, answers out, and what became of the objects. No network and no clock here.

It is honest where Fairlead and those around it (scheduler, kubelet, Job controller, users) look: versions,
preconditions, finalizers, deletion, patches, selectors, watches and their history; `tests/conformance` plays the same
requests against a real server. Of our own kinds it knows the schemas (not their rules in CEL); what is sent of other
kinds is stored as it is, nothing is defaulted, pruned or refused for its type. It has no `managedFields`: a write that
changes nothing but those makes a version on the real one, and none here.
"""

from __future__ import annotations

from .exchange import Answer, Object, Request
from .served import BUILT_IN, OURS, SERVED, Served
from .server import ApiServer
from .store import Author, Change
from .watches import Watch

__all__ = [
    "BUILT_IN",
    "OURS",
    "SERVED",
    "Answer",
    "ApiServer",
    "Author",
    "Change",
    "Object",
    "Request",
    "Served",
    "Watch",
]
