"""Which files are a build's context: what git knows, less what `.dockerignore` leaves out. Pure but for the listing."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path


def files(context: Path, *, without: str) -> list[str]:
    """The files of a build context, relative to it, in order; `without` is the folder that the build fills."""
    listing = ["git", "-C", str(context), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        names: Iterable[str] = done.stdout.split("\0")
    else:
        names = (str(path.relative_to(context)) for path in context.rglob("*"))
    ignore_file = context / ".dockerignore"
    patterns = parse(ignore_file.read_text()) if ignore_file.exists() else []
    wanted = {name for name in names if name and not name.startswith(f"{without}/") and not ignored(patterns, name)}
    # git also lists what is deleted in the working tree.
    return sorted(name for name in wanted if (context / name).is_file() or (context / name).is_symlink())


def parse(text: str) -> list[str]:
    """The patterns of a `.dockerignore`."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def ignored(patterns: Sequence[str], name: str) -> bool:
    """Whether a file is left out: the last pattern that matches it, or a folder it is in, decides."""
    parts = name.split("/")
    prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    out = False
    for pattern in patterns:
        keeps = pattern.startswith("!")
        matcher = _expression(pattern.removeprefix("!").strip("/"))
        if any(matcher.fullmatch(prefix) for prefix in prefixes):
            out = not keeps
    return out


def _expression(pattern: str) -> re.Pattern[str]:
    """Docker's wildcards: `**` goes through folders, `*` and `?` stay in one."""
    meanings = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(meanings.get(token) or re.escape(token) for token in tokens))
