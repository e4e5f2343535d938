"""`$(VAR)` in commands, arguments and environment values, expanded exactly as the kubelet does.

The rules are Kubernetes' own (`third_party/forked/golang/expansion`): `$(NAME)` becomes the value of a known
variable and stays as it is for an unknown one, `$$` becomes `$` (so `$$(NAME)` is a literal `$(NAME)`), and any other
`$` is left alone. There is no nesting and no second pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["expand", "expand_environment"]

# One pass from the left: an escaped dollar, or a reference up to the first closing parenthesis.
_REFERENCE = re.compile(r"\$(?:(?P<escaped>\$)|\((?P<name>[^)]*)\))", re.DOTALL)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Return `text` with references to `variables` replaced by their values."""

    def replace(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        return variables.get(match["name"], match[0])

    return _REFERENCE.sub(replace, text)


def expand_environment(entries: Iterable[Mapping[str, Any]], variables: Mapping[str, str]) -> dict[str, str]:
    """Return a container's `env` list as a mapping.

    Each value may refer to `variables` and to the entries before it; of two entries with one name the later wins.
    Entries without a `value` (those with `valueFrom`) are the caller's business and must not be here.
    """
    known = dict(variables)
    found: dict[str, str] = {}
    for entry in entries:
        name = entry["name"]
        known[name] = found[name] = expand(entry.get("value") or "", known)
    return found
