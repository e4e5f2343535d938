"""Reading Workflows and parameters from YAML and JSON files, the way kubectl reads them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fairlead.cli.exits import CliError

__all__ = ["find_files", "is_ours", "load_yaml", "pick_workflow", "read_text"]

_Document = dict[str, Any]

_PATTERNS = ("*.yaml", "*.yml")


def read_text(path: Path) -> str:
    """Return the text of a file; `-` is standard input. Raises :class:`CliError`."""
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CliError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise CliError(f"{path} is a directory; name one file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{path} cannot be read: {error}") from error


def find_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield files, each once; of a directory its YAML files, in the order of their names. Raises :class:`CliError`."""
    seen: set[Path] = set()
    for path in paths:
        if path.is_dir():
            found = sorted({file for pattern in _PATTERNS for file in path.rglob(pattern) if file.is_file()})
            if not found:
                raise CliError(f"{path} has no YAML files")
        else:
            found = [path]
        for file in found:
            if file not in seen:
                seen.add(file)
                yield file


def load_yaml(text: str, path: Path) -> list[Any]:
    """Return the documents of a text, without empty ones. Raises :class:`CliError`."""
    import yaml

    from fairlead.api.lint import KubernetesLoader
    from fairlead.api.yaml_limits import check_yaml

    try:
        check_yaml(text)
        return [document for document in yaml.load_all(text, KubernetesLoader) if document is not None]
    except RecursionError:
        raise CliError(f"{path}: this is nested too deeply") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f":{mark.line + 1}" if mark else ""
        raise CliError(f"{path}{at}: this is not YAML: {getattr(error, 'problem', None) or error}") from error


def pick_workflow(documents: list[_Document], path: Path, name: str | None) -> _Document:
    """Return the one Workflow among the documents of a file, or the one called `name`. Raises :class:`CliError`."""
    found = [each for each in documents if is_ours(each) and each.get("kind") == "Workflow"]
    names = [_name(each) for each in found]
    if name is not None:
        found = [each for each in found if _name(each) == name]
    if len(found) == 1:
        return found[0]
    if not names:
        raise CliError(f"{path} has no Workflow of fairlead.dev")
    listed = ", ".join(names)
    if name is not None:
        raise CliError(f"{path} has {'several Workflows' if found else 'no Workflow'} called {name!r}; it has {listed}")
    raise CliError(f"{path} has several Workflows: {listed}", hint="choose one with --name")


def is_ours(document: Any) -> bool:
    """Tell whether a document is of our API group."""
    group = str(document.get("apiVersion", "")).partition("/")[0] if isinstance(document, dict) else ""
    return group == "fairlead.dev"


def _name(document: _Document) -> str:
    metadata = document.get("metadata") or {}
    return str(metadata.get("name") or metadata.get("generateName") or "")
