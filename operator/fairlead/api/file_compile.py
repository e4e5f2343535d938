"""Checking and compiling `files`, and what they render to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fairlead.api.environment import FILES
from fairlead.api.places import own_place
from fairlead.api.rendering import TreeCompiler
from fairlead.api.task_files import TaskFile
from fairlead.api.work import RenderedFile
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import Json, Scope
from fairlead.engine.templates import CompiledTree, FieldReference, to_text

__all__ = ["MAX_BYTES", "CompiledFiles", "compile_files"]

#: What all files of an attempt have together: they are in one ConfigMap, which may have 1 MiB.
MAX_BYTES = 900_000


@dataclass(frozen=True, slots=True)
class CompiledFiles:
    """The files of a task: where each is, and what is in it. `path` is the field's."""

    path: str
    files: tuple[tuple[str, CompiledTree], ...] = ()

    @property
    def references(self) -> tuple[FieldReference, ...]:
        """Everything that their expressions name."""
        return tuple(found for _, tree in self.files for found in tree.references)

    def evaluate(self, scope: Scope) -> list[RenderedFile]:
        """Return the files with values in place of expressions. Raises `ExpressionError`."""
        rendered = [RenderedFile(path=path, text=_text(tree.evaluate(scope))) for path, tree in self.files]
        size = sum(len(each["text"].encode()) for each in rendered)
        if size > MAX_BYTES:
            raise ExpressionError(f"{self.path}: {_too_large(size)}")
        return rendered


def compile_files(files: Sequence[TaskFile], path: str, trees: TreeCompiler) -> CompiledFiles:
    """Check and compile the `files` of a task, which stand at `path`."""
    if not files:
        return _NONE
    for index, problem in _misplaced([file.path for file in files]):
        trees.report(f"{path}[{index}].path", problem)
    compiled = [
        (file.path, trees.value(file.value, f"{path}[{index}].value", max_bytes=MAX_BYTES))
        for index, file in enumerate(files)
    ]
    size = sum(len(_text(tree.evaluate({})).encode()) for _, tree in compiled if tree.is_constant)
    if size > MAX_BYTES:
        trees.report(path, _too_large(size))
    return CompiledFiles(path, tuple(compiled))


_NONE = CompiledFiles("files")


def _misplaced(paths: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with the places of files, by their position."""
    for index, path in enumerate(paths):
        if problem := _problem(path):
            yield index, problem
            continue
        for other, earlier in enumerate(paths[:index]):
            if path == earlier:
                yield index, f"files[{other}] is there, too; each file needs a place of its own"
            elif path.startswith(f"{earlier}/") or earlier.startswith(f"{path}/"):
                yield index, f"is a file and a directory at once: files[{other}] is {earlier!r}"


def _problem(path: str) -> str:
    if "${" in path:
        return "must not have expressions: where a file is, is part of the definition"
    parts = path.removeprefix("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "must be the path of a file, without '.', '..', empty parts and a '/' at its end"
    if ":" in path or any(ord(character) < 32 for character in path):
        return "must not have ':' or control characters"
    if taken := own_place(path):
        return f"must not be at or below {taken}, which is Fairlead's; a relative path is below ${FILES}"
    return ""


def _text(value: Json) -> str:
    return "null" if value is None else to_text(value)


def _too_large(size: int) -> str:
    return f"{size:,} bytes; the files of a task may have {MAX_BYTES:,} together: put larger data into storage"
