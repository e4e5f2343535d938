"""How the server says no: every `Status` that a request may be answered by, worded as the real one words it.

Whoever finds that a request cannot be served raises `Refused`; the server turns that into the answer. Why is not
decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fairlead.kube.resources import Resource

from .exchange import Answer, Object

__all__ = [
    "Cause",
    "Refused",
    "already_exists",
    "bad_request",
    "conflict",
    "expired",
    "forbidden",
    "invalid",
    "method_not_allowed",
    "no_such_path",
    "no_such_resource",
    "not_found",
    "refusal",
    "success",
    "too_large",
    "unprocessable",
    "unsupported_media_type",
    "version_too_large",
]

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class Refused(Exception):
    """A request is answered by this."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code, answer.body.get("message"))
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Cause:
    """What is wrong with one field."""

    reason: str
    message: str
    field: str

    @classmethod
    def value(cls, field: str, value: object, why: str) -> Cause:
        """Return the cause for a field with this value: it is not to be like that."""
        return cls("FieldValueInvalid", f"Invalid value: {_shown(value)}: {why}", field)

    @classmethod
    def immutable(cls, field: str, value: object) -> Cause:
        """Return the cause for a field that was changed, and must not be."""
        return cls.value(field, value, "field is immutable")

    @classmethod
    def forbidden(cls, field: str, why: str) -> Cause:
        """Return the cause for a field that may not be set now."""
        return cls("FieldValueForbidden", f"Forbidden: {why}", field)

    @classmethod
    def required(cls, field: str, why: str = "") -> Cause:
        """Return the cause for a field that is missing."""
        return cls("FieldValueRequired", f"Required value: {why}" if why else "Required value", field)


def _shown(value: object) -> str:
    match value:
        case str():
            return f'"{value}"'
        case bool():
            return str(value).lower()
        case None:
            return "null"
        case _:
            return str(value)


def refusal(
    code: int, reason: str, message: str, details: Object | None = None, *, retry_after: int | None = None
) -> Answer:
    """Return a failure of any kind. `retry_after` is said twice, as the real one does."""
    if retry_after is not None:
        details = {**(details or {}), "retryAfterSeconds": retry_after}
    body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    if reason:
        body["reason"] = reason
    if details is not None:
        body["details"] = details
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Answer(code=code, body={**body, "code": code}, headers=headers)


def success(code: int = 200, details: Object | None = None) -> Answer:
    """Return the `Status` of something that has no object to show."""
    body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if details is not None:
        body["details"] = details
    if code != 200:
        body["code"] = code
    return Answer(code=code, body=body)


def _details(resource: Resource, name: str, **more: Any) -> Object:
    found: Object = {"name": name} if name else {}
    if resource.group:
        found["group"] = resource.group
    return {**found, "kind": resource.plural, **more}


def not_found(resource: Resource, name: str) -> Refused:
    """There is no such object."""
    message = f'{resource.qualified} "{name}" not found'
    return Refused(refusal(404, "NotFound", message, _details(resource, name)))


def no_such_path() -> Refused:
    """Nothing is served there: no such group, or version."""
    return Refused(Answer(code=404, text=b"404 page not found\n"))


def no_such_resource() -> Refused:
    """The group and version are served, and have no such kind."""
    return Refused(refusal(404, "NotFound", "the server could not find the requested resource", {}))


def method_not_allowed() -> Refused:
    """The resource is there and this cannot be done with it."""
    message = "the server does not allow this method on the requested resource"
    return Refused(refusal(405, "MethodNotAllowed", message, {}))


def already_exists(resource: Resource, name: str, *, going: bool = False) -> Refused:
    """The name is taken; `going`: by an object that is being deleted."""
    message = f'{"object is being deleted: " if going else ""}{resource.qualified} "{name}" already exists'
    return Refused(refusal(409, "AlreadyExists", message, _details(resource, name)))


def conflict(resource: Resource, name: str, why: str = MODIFIED, *, by_kind: bool = False) -> Refused:
    """A precondition does not hold. `by_kind`: where a delete is refused, the real one names the kind."""
    named = resource.kind if by_kind else resource.plural
    qualified = f"{named}.{resource.group}" if resource.group else named
    message = f'Operation cannot be fulfilled on {qualified} "{name}": {why}'
    return Refused(refusal(409, "Conflict", message, _details(resource, name) | {"kind": named}))


def invalid(resource: Resource, name: str, causes: Sequence[Cause], *, kind: str = "") -> Refused:
    """The object is not valid. `kind` is what is named instead of the resource's own."""
    kind = kind or resource.kind
    qualified = f"{kind}.{resource.group}" if resource.group else kind
    said = [f"{each.field}: {each.message}" for each in causes]
    text = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    details = _details(resource, name) | {
        "kind": kind,
        "causes": [{"reason": each.reason, "message": each.message, "field": each.field} for each in causes],
    }
    return Refused(refusal(422, "Invalid", f'{qualified} "{name}" is invalid: {text}', details))


def unprocessable() -> Refused:
    """A patch cannot be applied: its `test` failed, or what it changes is not there. The real one says no more."""
    return Refused(refusal(422, "Invalid", "the server rejected our request due to an error in our request", {}))


def forbidden(resource: Resource, name: str, why: str, causes: Sequence[Cause] = ()) -> Refused:
    """Admission says no."""
    message = f'{resource.qualified} "{name}" is forbidden: {why}'
    details = _details(resource, name)
    if causes:
        details["causes"] = [{"reason": each.reason, "message": each.message, "field": each.field} for each in causes]
    return Refused(refusal(403, "Forbidden", message, details))


def bad_request(message: str) -> Refused:
    """The request itself makes no sense."""
    return Refused(refusal(400, "BadRequest", message))


def unsupported_media_type(accepted: Sequence[str]) -> Refused:
    """A patch of a type that this kind does not take."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return Refused(refusal(415, "UnsupportedMediaType", message))


def too_large(message: str) -> Refused:
    """More than the server takes."""
    return Refused(refusal(413, "RequestEntityTooLarge", message))


def expired(message: str, *, continue_: str = "") -> Refused:
    """That version is no longer in the history. `continue_` goes on with what there is now instead."""
    answer = refusal(410, "Expired", message)
    if continue_:
        answer = Answer(code=410, body={**answer.body, "metadata": {"continue": continue_}})
    return Refused(answer)


def version_too_large(asked: int, current: int) -> Refused:
    """A version that this server has not reached."""
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return Refused(refusal(504, "Timeout", message, {"causes": causes}, retry_after=1))
