"""CEL's tokens: enough of the language to find where an expression ends and which names it uses.

Whether the tokens make sense in their order is for the evaluator to say: an unknown character is a token too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from fairlead.engine.expressions import ExpressionError

__all__ = ["Kind", "Token", "string_value", "tokenize"]


class Kind(Enum):
    """What a token is. White space and comments are not tokens."""

    NAME = auto()
    QUOTED_NAME = auto()
    STRING = auto()
    BYTES = auto()
    NUMBER = auto()
    SYMBOL = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a text: `text` is what stands from `start` to `end`. `.?` and `[?` are one symbol each."""

    kind: Kind
    text: str
    start: int
    end: int


_SKIP = re.compile(r"(?:[ \t\n\f\r]+|//[^\n]*)+")
_OPENING = re.compile(r"""(?P<prefix>[rR][bB]?|[bB][rR]?|)(?P<quote>'''|\"""|'|")""")
_KINDS = (
    (Kind.NAME, re.compile(r"[A-Za-z_][A-Za-z0-9_]*")),
    (Kind.QUOTED_NAME, re.compile(r"`[A-Za-z0-9_.\-/ ]+`")),
    (Kind.NUMBER, re.compile(r"0[xX][0-9a-fA-F]+[uU]?|(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?[uU]?", re.ASCII)),
    (Kind.SYMBOL, re.compile(r"\.\?|\[\?|.", re.DOTALL)),
)
# What follows an opening quote, up to and with the closing one; keyed by the quote and whether it is raw.
_REST = {
    ("'", False): re.compile(r"(?:[^'\\\n]|\\.)*'"),
    ('"', False): re.compile(r'(?:[^"\\\n]|\\.)*"'),
    ("'", True): re.compile(r"[^'\n]*'"),
    ('"', True): re.compile(r'[^"\n]*"'),
    ("'''", False): re.compile(r"(?:[^\\]|\\.)*?'''", re.DOTALL),
    ('"""', False): re.compile(r'(?:[^\\]|\\.)*?"""', re.DOTALL),
    ("'''", True): re.compile(r".*?'''", re.DOTALL),
    ('"""', True): re.compile(r'.*?"""', re.DOTALL),
}


def tokenize(text: str, position: int = 0) -> Iterator[Token]:
    """Yield the tokens of `text` from `position` on.

    Raises :class:`ExpressionError` at a string that is not closed; its column counts from the text's beginning.
    """
    while position < len(text):
        if skipped := _SKIP.match(text, position):
            position = skipped.end()
        elif opening := _OPENING.match(text, position):
            prefix = opening["prefix"].lower()
            rest = _REST[opening["quote"], "r" in prefix].match(text, opening.end())
            if rest is None:
                raise ExpressionError(f"the string that begins with {opening[0]} is not closed", position + 1)
            kind = Kind.BYTES if "b" in prefix else Kind.STRING
            yield Token(kind, text[position : rest.end()], position, rest.end())
            position = rest.end()
        else:
            for kind, pattern in _KINDS:
                if found := pattern.match(text, position):
                    yield Token(kind, found[0], position, found.end())
                    position = found.end()
                    break


_ESCAPE = re.compile(
    r"\\(?:[xX](?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8})|(?P<o>[0-3][0-7]{2})|(?P<c>.))",
    re.DOTALL,
)
_CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def string_value(literal: str) -> str:
    """Return what a string literal stands for, given its source with prefix and quotes.

    An escape that CEL refuses stands for itself here: the evaluator will say so.
    """
    opening = _OPENING.match(literal)
    if opening is None:
        raise ValueError(f"not a string literal: {literal}")
    body = literal[opening.end() : -len(opening["quote"])]
    return body if opening["prefix"] else _ESCAPE.sub(_unescape, body)


def _unescape(escape: re.Match[str]) -> str:
    if control := escape["c"]:
        return _CONTROLS.get(control, control)
    code = int(escape["o"], 8) if escape["o"] else int(escape["x"] or escape["u"] or escape["U"], 16)
    return chr(code) if code <= 0x10FFFF else escape[0]
