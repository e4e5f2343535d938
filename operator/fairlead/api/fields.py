"""Types of fields that several models share: names, durations, values. Each is bounded.

Bounds are part of the contract: they keep objects small, and the cost of the CRD's own rules estimable.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = [
    "MAX_TASKS",
    "ApiModel",
    "Bound",
    "Condition",
    "Count",
    "ExitCode",
    "Identifier",
    "JsonValue",
    "LimitSeconds",
    "ObjectName",
    "Text",
]

#: Tasks of one workflow, and names in one `needs`.
MAX_TASKS = 10_000

#: A name of a task or a group: it becomes part of the names of objects, so a DNS label.
ObjectName: TypeAlias = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]

#: A name of a parameter or an output: an identifier, so that `params.day` needs no brackets in expressions.
Identifier: TypeAlias = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

#: A duration that limits something.
LimitSeconds: TypeAlias = Annotated[int, Field(ge=1, le=2_147_483_647)]

#: A bound on a number, the one place where a fraction is allowed: within what a double holds exactly.
Bound: TypeAlias = Annotated[float, Field(ge=-(2.0**53), le=2.0**53)]

#: A number of things.
Count: TypeAlias = Annotated[int, Field(ge=0, le=1_000_000)]

#: An exit code that means something other than success.
ExitCode: TypeAlias = Annotated[int, Field(ge=1, le=255)]

#: An expression `${…}` that is true or false.
Condition: TypeAlias = Annotated[str, Field(min_length=1, max_length=16_384)]

#: A reason's text or a description.
Text: TypeAlias = Annotated[str, Field(max_length=4096)]

#: Any JSON value; the schema keeps whatever is there.
JsonValue: TypeAlias = Annotated[Any, Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]


class ApiModel(BaseModel):
    """A part of the API: camelCase outside, no unknown fields, no conversions (`"5"` is not a number)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)
