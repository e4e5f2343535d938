"""Names in CEL: each `params.day` or `tasks['a'].outputs.x` becomes a variable of its declared type.

CEL has no records: `params` can only be a map of anything, in which a misspelt name is found at run time and no
type is known. So before CEL sees a source, every path in it is checked against the declarations and replaced
by a variable (`__s0`: the first string). The variables are the same few in every expression, whatever they stand
for, which lets all expressions share one CEL environment. Columns are mapped back to the original source.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from fairlead.api.problems import COMPARED, nearest
from fairlead.engine.expressions import Declarations, ExpressionError, Reference
from fairlead.engine.model import ValueType
from fairlead.engine.references import ROOTS, Occurrence, scan
from fairlead.engine.tokens import Kind, Token, tokenize

__all__ = ["RENAMED", "RUN_FIELDS", "Slot", "Source", "did_you_mean", "resolve"]

#: The kinds of variables, by the letter that their names begin with. `t` is a timestamp, `x` any value.
_LETTERS = {
    ValueType.STRING: "s",
    ValueType.INTEGER: "i",
    ValueType.NUMBER: "d",
    ValueType.BOOLEAN: "b",
    ValueType.ARRAY: "l",
    ValueType.OBJECT: "m",
    None: "x",
}
#: The fields that `run` always has, and their letters.
RUN_FIELDS = {"name": "s", "namespace": "s", "uid": "s", "attempt": "i", "startTime": "t"}

#: Methods of ours that take the place of the library's of the same name, which cannot be declared again: its
#: `join` takes strings only, and neither bounds what it makes.
RENAMED = {"join": "__join", "replace": "__replace"}

_DASHED = re.compile(r"\w+(?:-\w+)+", re.ASCII)
_FIELDS = re.compile(r"(?:\.\w+\b(?!\())*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Slot:
    """A variable and what it stands for: `__d0` is the path (params, ratio), of type number.

    `number` tells the variable apart from others of its letter.
    """

    name: str
    letter: str
    number: int
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """A source as CEL gets it, and the way back.

    `wholes` are the roots that are used as maps (`toJson(params)`), `variables` the other declared names that
    may be used.
    """

    original: str
    text: str
    tokens: tuple[Token, ...]
    references: tuple[Reference, ...]
    slots: tuple[Slot, ...]
    wholes: frozenset[str]
    variables: frozenset[str]
    _edits: tuple[_Edit, ...]

    def original_offset(self, offset: int) -> int:
        """Return the place in the original source that a place in `text` comes from."""
        shift = 0
        for edit in self._edits:
            start = edit.start + shift
            if offset < start:
                break
            if offset < start + len(edit.text):
                return edit.start
            shift += len(edit.text) - (edit.end - edit.start)
        return offset - shift


def resolve(source: str, declarations: Declarations) -> Source:
    """Check every name against the declarations, and replace the paths.

    Raises :class:`ExpressionError` for a name that is not declared.
    """
    tokens = tuple(tokenize(source))
    for token in tokens:
        if token.kind is Kind.NAME and token.text.startswith("__"):
            raise ExpressionError(f"{token.text!r}: names that begin with '__' are reserved", token.start + 1)
    occurrences = scan(tokens, ROOTS | declarations.records.keys())
    for occurrence in occurrences:
        _check(occurrence, source, declarations)
    slots: dict[tuple[str, ...], Slot] = {}
    edits = [*_renames(tokens)]
    for occurrence in occurrences:
        if occurrence.complete:
            slot = _slot(occurrence.reference.path, slots, declarations)
            # Without the space, `params['a']in xs` would run into the next word.
            glued = occurrence.end < len(source) and (source[occurrence.end].isalnum() or source[occurrence.end] == "_")
            edits.append(_Edit(occurrence.start, occurrence.end, slot.name + " " * glued))
    edits.sort(key=lambda edit: edit.start)
    names = {token.text for token in tokens if token.kind is Kind.NAME}
    return Source(
        original=source,
        text=_apply(source, edits),
        tokens=tokens,
        references=tuple(occurrence.reference for occurrence in occurrences),
        slots=tuple(slots.values()),
        wholes=frozenset(occurrence.reference.path[0] for occurrence in occurrences if not occurrence.complete),
        variables=frozenset(names & declarations.variables.keys()),
        _edits=tuple(edits),
    )


def _apply(source: str, edits: Iterable[_Edit]) -> str:
    pieces, position = [], 0
    for edit in edits:
        pieces += [source[position : edit.start], edit.text]
        position = edit.end
    return "".join([*pieces, source[position:]])


def _renames(tokens: tuple[Token, ...]) -> Iterable[_Edit]:
    for dot, name, parenthesis in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if dot.text == "." and parenthesis.text == "(" and name.kind is Kind.NAME and name.text in RENAMED:
            yield _Edit(name.start, name.end, RENAMED[name.text])


def _slot(path: tuple[str, ...], slots: dict[tuple[str, ...], Slot], declarations: Declarations) -> Slot:
    if path not in slots:
        letter = _letter(path, declarations)
        number = sum(slot.letter == letter for slot in slots.values())
        slots[path] = Slot(f"__{letter}{number}", letter, number, path)
    return slots[path]


def _letter(path: tuple[str, ...], declarations: Declarations) -> str:
    match path:
        case ("params", name):
            return _LETTERS[declarations.params[name]]
        case ("run", field):
            return RUN_FIELDS[field] if field in RUN_FIELDS else _LETTERS[declarations.run[field]]
        case ("tasks", task, "outputs", output):
            return _LETTERS[declarations.tasks[task][output]]
        case (root, field):
            return _LETTERS[declarations.records[root][field]]
        case _:
            return "s"  # a task's phase


def _check(occurrence: Occurrence, source: str, declarations: Declarations) -> None:
    reference = occurrence.reference
    match reference.path:
        case ("params", name):
            known: Collection[str] = declarations.params
            problem = _unknown(f"no parameter {name!r}", name, known)
        case ("run", name):
            known = [*RUN_FIELDS, *declarations.run]
            problem = _unknown(f"run has no field {name!r}", name, known)
            if problem and name == "summary":
                problem = "run has no field 'summary': there is one only in `finally`"
        case ("tasks", name):
            known = declarations.tasks
            problem = _unknown(f"no task {name!r} in scope", name, known)
        case ("tasks", task, field, *output):
            known = declarations.tasks.get(task, {})
            problem = _unknown(f"no task {task!r} in scope", task, declarations.tasks)
            problem = problem or _unknown_part(task, field, output, known)
        case (root, name):
            known = declarations.records[root]
            problem = _unknown(f"{root} has no field {name!r}", name, known)
        case _:
            return
    problem = _subtraction(occurrence, source, known) or problem
    if problem:
        raise ExpressionError(problem, reference.column)


def _unknown_part(task: str, field: str, output: list[str], outputs: Collection[str]) -> str | None:
    if field not in {"phase", "outputs"}:
        return f"tasks[{task!r}] has 'phase' and 'outputs', not {field!r}"
    if not output:
        return None
    if not outputs:
        return f"task {task!r} has no output {output[0]!r}: it declares none"
    return _unknown(f"task {task!r} has no output {output[0]!r}", output[0], outputs)


def _unknown(message: str, name: str, known: Collection[str]) -> str | None:
    return None if name in known else message + did_you_mean(name, known)


def _subtraction(occurrence: Occurrence, source: str, declared: Collection[str]) -> str | None:
    """Say how a name with a dash is written, if one was meant: a path ends at `tasks.sign`, and `-off` follows."""
    last = occurrence.reference.path[-1]
    start = occurrence.end - len(last)
    dashed = _DASHED.match(source, start)
    if dashed is None or source[occurrence.end] != "-":
        return None
    # `tasks.a-b-c` may mean the task `a-b` and then minus c: the longest declared name wins.
    words = dashed[0].split("-")
    for length in range(len(words), 1, -1):
        name = "-".join(words[:length])
        if name in declared:
            written = source[occurrence.start : start + len(name)]
            fields = _FIELDS.match(source, start + len(name))
            before = source[occurrence.start : start].rstrip(". \t\n")
            return f"{written!r} is read as a subtraction: write {before}[{name!r}]{fields[0] if fields else ''}"
    return None


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return "; did you mean 'day'?" for a name that is close to a known one, else the few there are, else ""."""
    if len(known) > COMPARED:  # letters by their case are told only of a few: 10,000 names may be asked for as often
        close = nearest(name, known, 2)
    else:
        known = sorted(known)
        lowered = {candidate.lower(): candidate for candidate in known}
        close = [lowered[match] for match in nearest(name.lower(), lowered, 2)]
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    if 0 < len(known) <= 5:
        return f"; there {'is' if len(known) == 1 else 'are'} {', '.join(map(repr, known))}"
    return ""
