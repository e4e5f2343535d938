"""What the record of one run can hold, so that no run can outgrow the object it is recorded in.

The API server refuses an object of more than about 1.5 MB. A run that came near it could not be recorded any more, and
so would never end: it is better told, while it is going on, which limit it has reached. With these limits, 1,000 tasks
and a definition of 384 KiB, the whole stays below 1.3 MB.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from fairlead.engine.model import Json

__all__ = [
    "ATTEMPTS",
    "DEFINITION_BYTES",
    "MESSAGE_CHARACTERS",
    "NODES",
    "OUTPUT_BYTES",
    "RESULT_BYTES",
    "TASKS",
    "message_characters",
    "size_of",
]

#: Tasks of a run.
TASKS = 1_000

#: Tasks and items of a run together.
NODES = 20_000

#: The results of the run itself, as JSON.
RESULT_BYTES = 256 * 1024

#: The definition as JSON, which the object holds beside the record.
DEFINITION_BYTES = 384 * 1024

#: Attempts of all tasks together; about 250 bytes each. After that, nothing is retried.
ATTEMPTS = 2_000

#: Outputs of all tasks together, as JSON.
OUTPUT_BYTES = 256 * 1024

#: Characters of one message, where there are few.
MESSAGE_CHARACTERS = 1024

_ALL_MESSAGES = 128 * 1024
_LEAST = 64


def size_of(outputs: Mapping[str, Json]) -> int:
    """Return how many bytes the outputs of a task take, the same before and after a restart."""
    return len(json.dumps(dict(outputs), ensure_ascii=False, separators=(",", ":")).encode()) if outputs else 0


def message_characters(tasks: int) -> int:
    """Return how long the message of each of so many tasks may be."""
    return max(_LEAST, min(MESSAGE_CHARACTERS, _ALL_MESSAGES // max(1, tasks)))
