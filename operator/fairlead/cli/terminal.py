"""Where output goes: data to standard output, chatter to standard error; colour only where it is wanted.

rich decides on colour by the terminal and by NO_COLOR. Elsewhere than on a terminal nothing is wrapped or cut.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["data", "print_json", "say", "speaks_unicode"]

#: Wide enough that no line is cut where there is no terminal to fit into.
_UNLIMITED = 10_000


def data() -> Console:
    """Return the console for what was asked for."""
    return _console(stderr=False)


def say() -> Console:
    """Return the console for everything else: progress, warnings, errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, soft_wrap=False, emoji=False, markup=False)
    if not console.is_terminal:
        console.width = _UNLIMITED
    return console


def print_json(value: object) -> None:
    """Write a value as indented JSON to standard output."""
    import json

    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def speaks_unicode(console: Console) -> bool:
    """Tell whether the console's encoding has the glyphs that we draw with."""
    try:
        "✔┌│└…⠋".encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
