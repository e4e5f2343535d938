"""The forms in which verbs print what they found; light, since `--help` imports it."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["LintFormat"]


class LintFormat(StrEnum):
    """The values of `fairlead lint --output`."""

    PRETTY = "pretty"
    SIMPLE = "simple"
    JSON = "json"
