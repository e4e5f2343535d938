"""One step of a sequence: a request with blanks, and what each of the two servers has said to fill them with.

A blank is `<uid pods/a>`, `<version pods/a>` (the newest that was seen), `<first-uid …>` and `<first-version …>`, in
any string; and `{"$object": "pods/a", "$changes": …}` stands for the object as it was last seen, with a merge patch on
it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from fairlead.testing.apiserver import Request
from fairlead.testing.apiserver.merging import merged

__all__ = ["Memory", "Step"]

_BLANK = re.compile(r"<(uid|version|first-uid|first-version|token) ([^<>]*)>")


class Memory:
    """What one server has answered so far, by `plural/name`."""

    def __init__(self) -> None:
        self._objects: dict[str, list[dict[str, Any]]] = {}
        self._tokens: dict[str, str] = {}

    def note(self, step: Step, body: Any) -> None:
        if not isinstance(body, dict):
            return
        meta = body.get("metadata") or {}
        if "uid" in meta and "resourceVersion" in meta:  # else of a dry run
            self._objects.setdefault(f"{step.plural}/{meta['name']}", []).append(body)
        if meta.get("continue"):  # "" in lists of custom resources
            self._tokens[step.plural] = meta["continue"]

    def knows(self, key: str) -> bool:
        return key in self._objects

    def fill(self, value: Any) -> Any:
        """Return a value with its blanks filled; what was never seen is filled with something wrong."""
        match value:
            case str() if "<" in value:
                return _BLANK.sub(lambda blank: self._known(blank[1], blank[2]), value)
            case {"$object": key, "$changes": changes}:
                seen = self._objects.get(key)
                whole = [each for each in seen or () if each.get("kind") != "PartialObjectMetadata"]
                return merged(whole[-1] if whole else {"metadata": {"name": key.split("/")[1]}}, self.fill(changes))
            case dict():
                return {self.fill(name): self.fill(each) for name, each in value.items()}
            case list():
                return [self.fill(each) for each in value]
            case _:
                return value

    def _known(self, what: str, key: str) -> str:
        if what == "token":
            return self._tokens.get(key, "")
        seen = self._objects.get(key)
        if not seen:
            return "1"
        meta = seen[0 if what.startswith("first") else -1]["metadata"]
        return str(meta["uid" if what.endswith("uid") else "resourceVersion"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A request with blanks. `plural` is the kind it counts as, `what` says it in a few words."""

    method: str
    path: str
    plural: str
    what: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"
    accept: str = "application/json"

    def request(self, memory: Memory) -> Request:
        body = b"" if self.body is None else orjson.dumps(memory.fill(self.body))
        return Request(
            method=self.method,
            path=memory.fill(self.path),
            query={key: str(memory.fill(value)) for key, value in self.query.items()},
            headers={"Content-Type": self.content_type, "Accept": self.accept, "User-Agent": "conformance"},
            body=body,
        )

    def __str__(self) -> str:
        query = "&".join(f"{key}={value}" for key, value in self.query.items() if key != "fieldManager")
        body = "" if self.body is None else f" {orjson.dumps(self.body).decode()}"
        patch = f" [{self.content_type.split('/')[1].split('+')[0]}]" if self.method == "PATCH" else ""
        return f"{self.method} {self.path}{'?' + query if query else ''}{patch}{body}"
