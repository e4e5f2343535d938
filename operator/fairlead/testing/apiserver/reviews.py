"""Who am I, and who may do what: questions put as objects, which are answered and not stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fairlead.kube.resources import SELF_SUBJECT_REVIEWS, Resource

from .exchange import Answer, Request
from .refusals import bad_request
from .routes import document

__all__ = ["REVIEWS", "Access", "Reviews"]

_AUTHORIZATION = "authorization.k8s.io"
SELF_ACCESS = Resource(_AUTHORIZATION, "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False)
ACCESS = Resource(_AUTHORIZATION, "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False)
REVIEWS = (SELF_SUBJECT_REVIEWS, SELF_ACCESS, ACCESS)

#: Whether a user may do what the `spec` of a review asks for.
Access = Callable[[str, Mapping[str, Any]], bool]

_PATHS = {each.path(): each for each in REVIEWS}


class Reviews:
    """Answers reviews.

    Attributes:
        user: who a request comes from that is not sent in somebody's name.
        access: who may do what; everybody everything, unless it is replaced.
    """

    def __init__(self) -> None:
        self.user = "system:serviceaccount:fairlead:fairlead"
        self.access: Access = lambda _user, _spec: True

    def answer(self, request: Request) -> Answer | None:
        """Answer a review; None if the request is none."""
        resource = _PATHS.get(request.path)
        if resource is None or request.method != "POST":
            return None
        body = document(request)
        if not isinstance(body, dict):
            raise bad_request("the body is no review")
        user = request.headers.get("Impersonate-User") or self.user
        status: dict[str, Any]
        if resource is SELF_SUBJECT_REVIEWS:
            status = {"userInfo": {"username": user, "groups": _groups(user)}}
        else:
            spec = body.get("spec") or {}
            asked_of = user if resource is SELF_ACCESS else str(spec.get("user", ""))
            status = {"allowed": self.access(asked_of, spec)}
        head = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": {}}
        return Answer(code=201, body=head | {key: body[key] for key in ("spec",) if key in body} | {"status": status})


def _groups(user: str) -> list[str]:
    account = user.removeprefix("system:serviceaccount:")
    if account == user:
        return ["system:authenticated"]
    of_namespace = f"system:serviceaccounts:{account.partition(':')[0]}"
    return ["system:serviceaccounts", of_namespace, "system:authenticated"]
