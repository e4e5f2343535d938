"""Who am I, and who may do what."""

from __future__ import annotations

from tests.unit.testing.apiserver.client import Client

from fairlead.testing.apiserver import Request

SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
SELF_ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def test_who_asks(api: Client) -> None:
    assert api.ask("POST", SELF, {}).body["status"]["userInfo"]["username"] == api.server.reviews.user
    headers = {"Impersonate-User": "system:serviceaccount:ns:sa"}
    answer = api.server.handle(Request(method="POST", path=SELF, headers=headers, body=b"{}"))
    assert answer.body["status"]["userInfo"]["groups"][1] == "system:serviceaccounts:ns"


def test_who_may_do_what_is_settable(api: Client) -> None:
    api.server.reviews.access = lambda user, spec: user == "ann" and spec["resourceAttributes"]["verb"] == "get"
    spec = {"user": "ann", "resourceAttributes": {"verb": "get"}}
    assert api.ask("POST", ACCESS, {"spec": spec}).body["status"] == {"allowed": True}
    assert api.ask("POST", ACCESS, {"spec": {**spec, "user": "bob"}}).body["status"] == {"allowed": False}
    assert api.ask("POST", SELF_ACCESS, {"spec": spec}).body["status"] == {"allowed": False}
