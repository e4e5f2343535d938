"""What the record of one run can hold, so that no run can outgrow the objects it is recorded in.

The API server refuses an object of more than about 1.5 MB. A run that came near it could not be recorded any more, and
so would never end: it is better told, while it is going on, which limit it has reached. A small run is recorded in its
Workflow, a large one in shards beside it (`controllers/ledger.py`); with these limits, no object reaches 1 MB.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from fairlead.engine.model import Json

__all__ = [
    "ATTEMPTS",
    "DEFINITION_BYTES",
    "MESSAGE_CHARACTERS",
    "MOST_DEEP",
    "NODES",
    "NODE_ATTEMPTS",
    "NODE_OUTPUT_BYTES",
    "OUTPUT_BYTES",
    "RESULT_BYTES",
    "TASKS",
    "attempt_characters",
    "message_characters",
    "size_of",
]

#: How many Workflows may be above one. Templates that run each other would go on for ever.
MOST_DEEP = 8

#: Tasks of a run.
TASKS = 10_000

#: Tasks and items of a run together.
NODES = 20_000

#: The definition as JSON without blanks, as it is stored. The Workflow's own object holds it beside the summary of the
#: run and its results.
DEFINITION_BYTES = 800 * 1024

#: The results of the run itself, as JSON.
RESULT_BYTES = 64 * 1024

#: Attempts of all tasks together. After that, nothing is retried.
ATTEMPTS = 50_000

#: Attempts of one task or item, those of all epochs together; about 350 bytes each, and one shard has to hold them.
NODE_ATTEMPTS = 1_000

#: Outputs of all tasks together, as JSON.
OUTPUT_BYTES = 8 * 1024 * 1024

#: Outputs of one task or item.
NODE_OUTPUT_BYTES = 64 * 1024

#: Characters of one message, where there are few.
MESSAGE_CHARACTERS = 1024

_ALL_MESSAGES = 128 * 1024
_LEAST = 64

_MESSAGES_OF_NODE = 32 * 1024
_LEAST_OF_NODE = 32


def size_of(outputs: Mapping[str, Json]) -> int:
    """Return how many bytes the outputs of a task take, the same before and after a restart."""
    return len(json.dumps(dict(outputs), ensure_ascii=False, separators=(",", ":")).encode()) if outputs else 0


def message_characters(tasks: int) -> int:
    """Return how long the message of each of so many tasks, or attempts, may be where all are in one object."""
    return max(_LEAST, min(MESSAGE_CHARACTERS, _ALL_MESSAGES // max(1, tasks)))


def attempt_characters(attempts: int) -> int:
    """Return how long each message of a node with so many attempts may be, in a shard."""
    return max(_LEAST_OF_NODE, min(MESSAGE_CHARACTERS, _MESSAGES_OF_NODE // max(1, attempts)))
