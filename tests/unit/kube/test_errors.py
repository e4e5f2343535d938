"""The messages are those of a real API server (1.34 to 1.36)."""

from typing import Any

import orjson
import pytest

from fairlead.kube import errors
from fairlead.kube.errors import ApiError, Unreachable, error_from_response, error_from_status

RBAC = 'pods is forbidden: User "system:serviceaccount:a:b" cannot create resource "pods" in API group "" in the n…'
QUOTA = 'pods "q" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0'
QUOTA_UNSET = 'pods "q" is forbidden: failed quota: q: must specify limits.cpu for: main'
TERMINATING = 'configmaps "c" is forbidden: unable to create new content in namespace a because it is being terminated'
POD_SECURITY = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false'
CAUSE = {"reason": "NamespaceTerminating", "message": "namespace a is being terminated", "field": "metadata.namespace"}


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", ApiError),
        (401, "Unauthorized", errors.Unauthorized),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (410, "Expired", errors.Gone),
        (413, "RequestEntityTooLarge", errors.TooLarge),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.ServerError),
        (504, "Timeout", errors.ServerError),
    ],
)
def test_the_narrowest_class(code: int, reason: str, kind: type[ApiError]) -> None:
    error = error_from_status({"kind": "Status", "code": code, "reason": reason, "message": "m"})
    assert type(error) is kind
    assert (error.status, error.reason, error.message) == (code, reason, "m")


def test_a_right_to_impersonate_is_the_operators_own() -> None:
    message = (
        'serviceaccounts "default" is forbidden: User "fairlead" cannot impersonate resource "serviceaccounts" in …'
    )
    assert error_from_status({"code": 403, "message": message}).is_impersonation
    assert not error_from_status({"code": 403, "message": RBAC}).is_impersonation


@pytest.mark.parametrize(
    ("body", "unserved"),
    [
        (b"404 page not found\n", True),
        (b'{"kind":"Status","message":"the server could not find the requested resource","details":{}}', True),
        (b'{"kind":"Status","message":"pods \\"a\\" not found","details":{"name":"a","kind":"pods"}}', False),
        (b'{"kind":"Status","message":"namespaces \\"n\\" not found","details":{"name":"n"}}', False),
    ],
)
def test_a_missing_kind_is_told_from_a_missing_object(body: bytes, unserved: bool) -> None:
    assert error_from_response(404, body).is_unserved is unserved


def test_already_exists_is_not_caught_as_conflict() -> None:
    # A caller who handles a lost race on a version must not swallow a taken name.
    assert not issubclass(errors.AlreadyExists, errors.Conflict)


@pytest.mark.parametrize(
    ("message", "causes", "meaning"),
    [
        (RBAC, [], "is_rbac"),
        (QUOTA, [], "is_quota"),
        (TERMINATING, [CAUSE], "is_namespace_terminating"),
        (QUOTA_UNSET, [], "is_admission"),
        (POD_SECURITY, [], "is_admission"),
        ('admission webhook "x" denied the request: exceeded patience', [], "is_admission"),
    ],
)
def test_the_four_meanings_of_403_exclude_each_other(message: str, causes: list[dict[str, Any]], meaning: str) -> None:
    error = error_from_status({"code": 403, "message": message, "details": {"causes": causes}})
    every = ["is_rbac", "is_quota", "is_namespace_terminating", "is_admission"]
    assert [name for name in every if getattr(error, name)] == [meaning]


@pytest.mark.parametrize(
    ("status", "wrong"),
    [
        ({"code": 409, "message": "the UID in the precondition (1) does not match the UID in record (2)."}, True),
        ({"code": 409, "message": "Precondition failed: UID in precondition: 1, UID in object meta: 2"}, True),
        ({"code": 409, "message": "the object has been modified; please apply your changes"}, False),
        ({"code": 422, "details": {"causes": [{"field": "metadata.uid"}]}}, True),
        ({"code": 422, "details": {"causes": [{"field": "metadata.finalizers"}]}}, False),
    ],
)
def test_another_object_of_the_same_name(status: dict[str, Any], wrong: bool) -> None:
    error = error_from_status(status)
    assert error.is_wrong_uid is wrong
    assert isinstance(error, errors.Conflict) is (wrong or status["code"] == 409), "a precondition that failed"


@pytest.mark.parametrize("code", [401, 408, 410, 429, 500, 503, 504])
def test_transient(code: int) -> None:
    assert error_from_status({"code": code}).is_transient
    assert Unreachable("no route", maybe_applied=False).is_transient


@pytest.mark.parametrize("code", [400, 403, 404, 409, 413, 422])
def test_not_transient(code: int) -> None:
    assert not error_from_status({"code": code}).is_transient


@pytest.mark.parametrize(
    "body", [b"", b"<html>bad gateway</html>", b"[1]", b'{"kind":"Pod"}', b"\xff\xfe", b'{"kind":"Status","details":3}']
)
def test_any_body_makes_an_error(body: bytes) -> None:
    error = error_from_response(502, body, request="get x")
    assert (error.status, error.request) == (502, "get x")
    assert "502" in str(error)


def test_retry_after_from_the_header_or_from_the_details() -> None:
    body = orjson.dumps({"kind": "Status", "details": {"retryAfterSeconds": 7}})
    assert error_from_response(429, body).retry_after == 7
    assert error_from_response(429, body, retry_after=2.0).retry_after == 2
    assert error_from_response(429, b"").retry_after is None
