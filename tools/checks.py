"""What no linter of ours knows about the layout and the engine: `python tools/checks.py [ROOT]`.

Prints each violation with its file and line; the exit code is 1 if there is one. Import directions are import-linter's
business, generated files that of `tools.generate`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

MODULE_LINES = 500

#: Names that give a pure function another answer tomorrow, or an effect.
_IMPURE_CALLS = frozenset(
    {"__import__", "breakpoint", "compile", "eval", "exec", "hash", "id", "input", "open", "print", "vars"}
)
_IMPURE_MODULES = frozenset({"asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "sys", "time", "uuid"})
_CLOCKS = frozenset({("date", "today"), ("datetime", "now"), ("datetime", "today"), ("datetime", "utcnow")})


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is not as agreed, and where."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        """`path:line: message`, as editors understand it."""
        return f"{self.path}:{self.line}: {self.message}"


def shadowing(root: Path) -> Iterator[Violation]:
    """`operator/` is a directory on the source path: as a package it would hide the standard library's `operator`."""
    path = Path("operator") / "__init__.py"
    if (root / path).exists():
        yield Violation(path, 1, "must not exist: it shadows the standard library's `operator`")


def long_modules(root: Path) -> Iterator[Violation]:
    """No module of the package is longer than `MODULE_LINES` lines."""
    for path in sorted((root / "operator" / "fairlead").rglob("*.py")):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MODULE_LINES:
            message = f"has {lines} lines, more than {MODULE_LINES}: find the two things it is about and part them"
            yield Violation(path.relative_to(root), lines, message)


def impurities(root: Path) -> Iterator[Violation]:
    """The engine reads no clock, draws no random number and performs no I/O, not even by a builtin."""
    for path in sorted((root / "operator" / "fairlead" / "engine").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            message = _impurity(node)
            if message and isinstance(node, ast.expr | ast.stmt):
                yield Violation(path.relative_to(root), node.lineno, f"the engine is pure: {message}")


def _impurity(node: ast.AST) -> str:
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in _IMPURE_CALLS:
            return f"no {name}()"
        case ast.Attribute(value=ast.Name(id=name)) if name in _IMPURE_MODULES:
            return f"nothing of {name}"
        case ast.Attribute(value=ast.Name(id=name) | ast.Attribute(attr=name), attr=attr) if (name, attr) in _CLOCKS:
            return f"no {name}.{attr}: the time is a parameter"
        case ast.Import(names=names) if found := _IMPURE_MODULES & {each.name.partition(".")[0] for each in names}:
            return f"no import of {min(found)}"
        case ast.ImportFrom(module=str(module), level=0) if module.partition(".")[0] in _IMPURE_MODULES:
            return f"no import from {module}"
        case ast.AsyncFunctionDef():
            return "nothing to wait for"
        case _:
            return ""


def violations(root: Path) -> list[Violation]:
    """Return everything that is not as agreed under `root`, a checkout."""
    return [*shadowing(root), *long_modules(root), *impurities(root)]


def main(arguments: list[str]) -> int:
    """Print what is wrong. Returns the exit code."""
    found = violations(Path(arguments[0]) if arguments else ROOT)
    for violation in found:
        sys.stderr.write(f"{violation}\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
