"""Declared values: the parameters of a workflow. What their values must be is checked by `parameters.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from fairlead.api.fields import ApiModel, Bound, Identifier, JsonValue, Text
from fairlead.engine.model import ValueType

__all__ = ["Argument", "Items", "Parameter", "declared_types"]

_Pattern = Annotated[str, Field(min_length=1, max_length=1024)]


class Items(ApiModel):
    """What each item of an array must be."""

    type: Annotated[ValueType, Field(strict=False)] = Field(description="The JSON type of an item.")
    enum: Annotated[list[JsonValue], Field(min_length=1, max_length=1000)] | None = Field(
        default=None, description="The values that an item may have."
    )
    pattern: _Pattern | None = Field(
        default=None, description="A regular expression (RE2) that must match somewhere in an item that is a string."
    )
    minimum: Bound | None = Field(default=None, description="The least value of an item that is a number.")
    maximum: Bound | None = Field(default=None, description="The greatest value of an item that is a number.")


class Parameter(ApiModel):
    """A declared parameter, which expressions read as `params.NAME`."""

    name: Identifier = Field(description="The name of the parameter, unique in the workflow.")
    type: Annotated[ValueType, Field(strict=False)] = Field(
        default=ValueType.STRING, description="The JSON type of the value. Default: `string`."
    )
    default: JsonValue = Field(
        default=None, description="The value when no argument gives one. Without a default an argument is required."
    )
    description: Text | None = Field(default=None, description="What the parameter means, for people.")
    enum: Annotated[list[JsonValue], Field(min_length=1, max_length=1000)] | None = Field(
        default=None, description="The values that are allowed."
    )
    pattern: _Pattern | None = Field(
        default=None,
        description="A regular expression (RE2) that must match somewhere in a string; anchor it with ^ and $.",
    )
    minimum: Bound | None = Field(default=None, description="The least value of a number.")
    maximum: Bound | None = Field(default=None, description="The greatest value of a number.")
    items: Items | None = Field(default=None, description="What each item of an array must be.")


class Argument(ApiModel):
    """The value of a parameter."""

    name: Identifier = Field(description="The name of a declared parameter.")
    value: JsonValue = Field(description="Its value, any JSON. Expressions are not replaced in it.")


def declared_types(raw: Any) -> dict[str, ValueType | None]:
    """Return names and types of raw parameters or outputs (plain JSON), as far as they can be made out."""
    types: dict[str, ValueType | None] = {}
    for item in raw if isinstance(raw, list) else ():
        if isinstance(item, Mapping) and isinstance(item.get("name"), str):
            name, given = item["name"], item.get("type", ValueType.STRING)
            types[name] = ValueType(given) if given in list(ValueType) else None
    return types
