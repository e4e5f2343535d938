"""Cutting out what people have put into objects, so that a bundle can be handed to somebody else. Pure.

What is known to be harmless is kept, and every other text is replaced by its length: names, kinds, phases, reasons,
times, images. Of a field that holds values of users (variables, arguments, outputs, manifests, …) nothing at all is
kept but its shape. Free text, such as messages and logs, stays, without those values, without what a container has
printed, and without what looks like a credential.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Redactor"]

#: Fields whose content is the user's, whatever it is. Of those that are lists of named values the names are kept.
_VALUES = frozenset(
    {
        *("value", "default", "enum", "data", "stringData", "binaryData", "body", "in", "form", "options", "files"),
        *("command", "args", "source", "interpreter", "manifest", "url", "httpGet", "exec", "tcpSocket", "caBundle"),
    }
)
_NAMED_VALUES = frozenset({"arguments", "outputs", "headers", "values", "env"})
#: What is kept of each of these, beside its name.
_KEPT_BESIDE = frozenset({"name", "type", "valueFrom"})
#: Fields whose text is Kubernetes' or ours.
_KEPT = frozenset(
    {
        *("name", "namespace", "generateName", "uid", "ownerUid", "kind", "apiVersion", "resourceVersion", "phase"),
        *("reason", "type", "status", "progress", "class", "podName", "nodeName", "containerID", "image", "imageID"),
        *("needs", "group", "trigger", "onFailure", "onTimeout", "as", "jitter", "from", "preset", "onCancel", "mode"),
        *("action", "workflowName", "workflowUID", "revision", "template", "onConflict", "restartPolicy", "qosClass"),
        *("serviceAccountName", "serviceAccount", "schedulerName", "dnsPolicy", "imagePullPolicy", "key", "operator"),
        *("effect", "fieldPath", "component", "host", "involvedObject", "component", "reportingComponent", "count"),
        *("finalizers", "labels", "verb", "controller", "mountPath", "secretName", "claimName", "protocol"),
        *("itemsDigest", "state", "signal", "interfaces", "accessModes", "storageClassName", "size", "resource"),
        *("cpu", "memory", "ephemeral-storage", "holderIdentity", "tasks", "task", "exclude", "topologyKey"),
    }
)
#: Fields with sentences in them.
_TEXT = frozenset({"message", "note"})
#: The end of a container, whose message is what it has printed last.
_ENDED = "terminated"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
#: What a container has printed last follows its exit code, in our messages and in those of others.
_PRINTED = re.compile(r"(exit code \d+)(?:: |; ).*")
_SAYS_SECRET = r"(?<![\w-])[\w-]*(password|passwd|secret|token|api[_-]?key|authorization|credential)[\w-]*[\"']?"
_CREDENTIALS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)",
        r"\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*",
        r"\b(AKIA|ASIA)[A-Z0-9]{12,}\b",
        r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)",
        r"\bbearer\s+[\w.~+/=-]{8,}",
        rf"{_SAYS_SECRET}\s*[=:]\s*(?!\s)(\"[^\"]*\"|'[^']*'|[^\s,;}}]+)",
    )
)
#: Of shorter values too many are ordinary words.
_LEAST_CHARACTERS = 6
_ANNOTATIONS = ("fairlead.dev/", "argocd.argoproj.io/", "kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/")
_CUT = "«redacted»"
_LEFT_OUT = frozenset({"managedFields"})


class Redactor:
    """Cuts out of objects what is the user's, and remembers it, to cut it out of texts as well.

    So all objects are remembered before the first text.
    """

    def __init__(self) -> None:
        self._values: set[str] = set()

    def remember(self, raw: Any) -> None:
        """Take note of what is the user's in an object."""
        match raw:
            case dict():
                for name, each in raw.items():
                    if name in _VALUES:
                        self._values.update(_texts(each))
                    elif name in _NAMED_VALUES:
                        self._remember_named(each)
                    elif name == _ENDED and isinstance(each, dict):
                        self._values.update(_texts(each.get("message", "")))
                    else:
                        self.remember(each)
            case list():
                for each in raw:
                    self.remember(each)

    def _remember_named(self, found: Any) -> None:
        for each in found if isinstance(found, list) else [found]:
            if isinstance(found, list) and isinstance(each, dict):
                for name, value in each.items():
                    if name not in _KEPT_BESIDE:
                        self._values.update(_texts(value))
            else:
                self._values.update(_texts(each))

    def object(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return an object without what is the user's."""
        kept: dict[str, Any] = self._object(raw)
        return kept

    def text(self, text: str) -> str:
        """Return a text without what was cut out of objects, nor what looks like a credential."""
        for pattern in _CREDENTIALS:
            text = pattern.sub(_CUT, text)
        found = sorted((each for each in self._values if each in text), key=lambda each: (-len(each), each))
        return re.sub("|".join(map(re.escape, found)), _CUT, text) if found else text

    def message(self, text: str) -> str:
        """Return sentences, likewise, and without what containers have printed, which follows their exit code."""
        return self.text(_PRINTED.sub(rf"\1: {_CUT}", text))

    def _object(self, value: Any, key: str = "") -> Any:
        match value:
            case dict() if key == "annotations":
                return {name: each if name.startswith(_ANNOTATIONS) else _cut(each) for name, each in value.items()}
            case dict() if key == "labels":
                return dict(value)
            case dict() if key == _ENDED:
                return {name: _cut(each) if name in _TEXT else self._object(each, name) for name, each in value.items()}
            case dict():
                return {name: self._member(name, each) for name, each in value.items() if name not in _LEFT_OUT}
            case list():
                return [self._object(each, key) for each in value]
            case str() if key in _TEXT:
                return self.message(value)
            case str():
                return value if key in _KEPT or _TIME.fullmatch(value) else _cut(value)
        return value

    def _member(self, name: str, value: Any) -> Any:
        if name in _VALUES:
            return _cut(value)
        if name not in _NAMED_VALUES:
            return self._object(value, name)
        if not isinstance(value, list):
            return _cut(value)
        return [
            {key: self._object(each[key], key) if key in _KEPT_BESIDE else _cut(each[key]) for key in each}
            if isinstance(each, dict)
            else _cut(each)
            for each in value
        ]


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a value, and each of its lines, that is long enough to be known again."""
    match value:
        case dict():
            for each in value.values():
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)
        case str() | int() | float():
            text = str(value)
            for each in dict.fromkeys((text, *text.splitlines())):
                if len(each.strip()) >= _LEAST_CHARACTERS:
                    yield each.strip()


def _cut(value: Any) -> str:
    """Return what stands in the place of a value: how much of it there was."""
    match value:
        case str():
            return f"«redacted: {len(value)} characters»"
        case dict():
            return f"«redacted: {len(value)} members»"
        case list():
            return f"«redacted: {len(value)} items»"
    return _CUT
