"""`concurrencyKey`: how many runs may be active at the same time, of those with the same key in a namespace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from fairlead.api.fields import ApiModel
from fairlead.api.rendering import TreeCompiler
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import Json
from fairlead.engine.templates import CompiledTree

__all__ = ["MAX_KEY", "CompiledKey", "ConcurrencyKey", "OnConflict", "compile_key"]

#: Characters of a key.
MAX_KEY = 253

_FIELD = "spec.concurrencyKey.key"

#: What is known of a run before it has started.
_KNOWN_OF_RUN = ("name", "namespace", "uid")


class OnConflict(StrEnum):
    """What a run does when others with its key are active already."""

    QUEUE = "Queue"
    REPLACE = "Replace"
    REFUSE = "Refuse"


class ConcurrencyKey(ApiModel):
    """Bounds how many runs with the same key are active at the same time in a namespace."""

    key: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        description="The key, as a rule with an expression: `sales-${params.day}`. It sees `params`, and of `run` the "
        "name, namespace and uid."
    )
    limit: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="How many runs with this key may be active. Default: 1."
    )
    on_conflict: Annotated[OnConflict, Field(strict=False)] | None = Field(
        default=None,
        description="What this run does when there are that many. `Queue`: it waits for its turn. `Replace`: those "
        "that have started before it are stopped, and it starts when they have ended. `Refuse`: it fails. "
        "Default: `Queue`.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledKey:
    """A `concurrencyKey`, ready to be evaluated before its run starts."""

    tree: CompiledTree
    limit: int
    on_conflict: OnConflict

    def evaluate(self, params: Mapping[str, Json], *, name: str, namespace: str, uid: str) -> str:
        """Return the key of a run. Raises `ExpressionError`."""
        key = self.tree.evaluate({"params": params, "run": {"name": name, "namespace": namespace, "uid": uid}})
        if not 1 <= len(key) <= MAX_KEY:
            raise ExpressionError(f"{_FIELD}: must have 1 to {MAX_KEY} characters, and has {len(key)}")
        return str(key)


def compile_key(given: ConcurrencyKey, trees: TreeCompiler) -> CompiledKey:
    """Check and compile a `concurrencyKey`."""
    tree = trees.tree(given.key, _FIELD)
    for found in tree.references:
        root, *rest = found.reference.path
        if root == "tasks":
            trees.report(found.field, "must not refer to tasks: the key is needed before the first of them starts")
        elif root == "run" and (not rest or rest[0] not in _KNOWN_OF_RUN):
            known = " and ".join((", ".join(f"run.{each}" for each in _KNOWN_OF_RUN[:-1]), f"run.{_KNOWN_OF_RUN[-1]}"))
            trees.report(found.field, f"must not read other than {known} of `run`: the run has not started yet")
    return CompiledKey(tree=tree, limit=given.limit or 1, on_conflict=given.on_conflict or OnConflict.QUEUE)
