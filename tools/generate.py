"""Everything that is generated from the code, in one place: `python -m tools.generate [--check]`.

With `--check` nothing is written; a file that differs from what would be written is named, and the exit code is 1.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from fairlead.api import crd
from fairlead.cli import reference
from fairlead.telemetry import metrics

ROOT = Path(__file__).resolve().parent.parent


def generated() -> dict[Path, Callable[[], str]]:
    """Return each generated file with what makes its text."""
    files: dict[Path, Callable[[], str]] = {
        ROOT / "docs" / "metrics.md": metrics.document,
        ROOT / "docs" / "cli.md": reference.document,
    }
    for name, text in crd.documents().items():
        for folder in ("crds", "charts/fairlead/crds"):
            files[ROOT / folder / name] = lambda text=text: text
    return files


def main(arguments: list[str]) -> int:
    """Write the files, or check them."""
    check = "--check" in arguments
    drifted = []
    for path, make in generated().items():
        text = make()
        if path.exists() and path.read_text() == text:
            continue
        if check:
            drifted.append(path.relative_to(ROOT))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {path.relative_to(ROOT)}")
    for path in drifted:
        print(f"{path} is not what the code generates: run `make gen` and commit the result", file=sys.stderr)
    return 1 if drifted else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
