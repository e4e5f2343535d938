"""Deterministic names of the objects that a run creates.

A name is a pure function of (run UID, node, attempt): creating it twice, by a controller that crashed in between or
by two controllers at once, hits the same name, and the API server answers the second with AlreadyExists.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

__all__ = [
    "LABEL_LIMIT",
    "NAME_LIMIT",
    "attempt_name",
    "bucket",
    "bucket_of_key",
    "label_value",
    "shard_name",
    "task_and_index",
    "workspace_name",
]

#: Names of children stay short: Jobs and label values end at 63 characters, and controllers append to them.
NAME_LIMIT = 52

#: Kubernetes' limit of a label value.
LABEL_LIMIT = 63

#: Runs hash into this many buckets. The number is in the labels of pods, so it never changes.
BUCKETS = 256

_HASH_LENGTH = 10

#: The bucket of a run is asked for at every change of one of its pods.
_REMEMBERED = 4096


def attempt_name(run_name: str, run_uid: str, node: str, number: int) -> str:
    """Return the name of the object that carries an attempt, at most `NAME_LIMIT` characters, a DNS label.

    The readable part is `run-node`, cut where needed; the hash of the whole identity makes it unique.
    """
    tail = f"-{_digest(run_uid, node)}-{number}"
    head = _dns(f"{run_name}-{node}")[: NAME_LIMIT - len(tail)].rstrip("-")
    return head + tail


def workspace_name(run_name: str, run_uid: str) -> str:
    """Return the name of the claim for the volume that a run's tasks share."""
    tail = f"-workspace-{_digest(run_uid)}"
    return _dns(run_name)[: NAME_LIMIT - len(tail)].rstrip("-") + tail


def shard_name(run_name: str, run_uid: str, index: int) -> str:
    """Return the name of a run's `index`-th TaskStatusShard, at most `NAME_LIMIT` characters, a DNS label."""
    tail = f"-{_digest(run_uid)}-{index}"
    return _dns(run_name)[: NAME_LIMIT - len(tail)].rstrip("-") + tail


def label_value(text: str) -> str:
    """Return `text` where it is a valid label value, else a readable beginning with a hash."""
    if len(text) <= LABEL_LIMIT and text == _dns(text):
        return text
    digest = _digest(text)
    return f"{_dns(text)[: LABEL_LIMIT - len(digest) - 1].rstrip('-')}-{digest}"


@lru_cache(_REMEMBERED)
def bucket(run_uid: str) -> int:
    """Return the bucket of a run without a `concurrencyKey`, 0 to 255; replicas divide the runs by it."""
    return sha256(run_uid.encode()).digest()[0] % BUCKETS


@lru_cache(_REMEMBERED)
def bucket_of_key(namespace: str, key: str) -> int:
    """Return the bucket of all runs with a `concurrencyKey`: one replica decides which of them may be active."""
    return sha256(f"{namespace}/{key}".encode()).digest()[0] % BUCKETS


def task_and_index(node: str) -> tuple[str, int | None]:
    """Return the task that a node belongs to and, of an item (`m[3]`), its index."""
    task, bracket, index = node.partition("[")
    return (task, int(index[:-1])) if bracket and index[:-1].isdecimal() else (node, None)


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:_HASH_LENGTH]


def _dns(text: str) -> str:
    # Keeps what a DNS label may hold: `task[3]` becomes `task-3`.
    kept = "".join(c if c.isascii() and (c.isalnum() or c == "-") else "-" for c in text.lower())
    return kept.strip("-")
