"""What a refused create means: waited for, or the end of the task, in the API server's own words."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.engine.kit import T0

from fairlead.controllers.refusals import blocks_operator, refusal
from fairlead.engine.commands import StartAttempt
from fairlead.engine.model import FailureClass, WorkKind
from fairlead.kube.errors import ApiError, Unreachable, error_from_status

START = StartAttempt(node="a", number=2, object_name="daily-a-2", kind=WorkKind.POD, work={})
RBAC = 'pods is forbidden: User "system:serviceaccount:f:o" cannot create resource "pods" in API group ""'


def error(code: int, message: str = "", reason: str = "", **details: Any) -> ApiError:
    return error_from_status({"message": message, "reason": reason, "details": details}, code=code)


TERMINATING: dict[str, Any] = {
    "causes": [{"reason": "NamespaceTerminating", "message": "namespace ns is being terminated"}]
}


@pytest.mark.parametrize(
    ("problem", "reason", "seconds"),
    [
        pytest.param(error(403, 'pods "p" is forbidden: exceeded quota: q'), "QuotaExceeded", 5, id="quota"),
        pytest.param(error(403, RBAC), "OperatorForbidden", 10, id="our own rights"),
        pytest.param(error(401, "Unauthorized"), "OperatorForbidden", 10, id="our own credentials"),
        pytest.param(error(403, "…", **TERMINATING), "NamespaceTerminating", 30, id="the namespace goes away"),
        pytest.param(error(404, 'namespaces "ns" not found'), "ApiUnavailable", 1, id="the namespace is gone"),
        pytest.param(error(409, "conflict"), "ApiUnavailable", 1, id="somebody was faster"),
        pytest.param(error(429, "slow down"), "ApiUnavailable", 1, id="too many requests"),
        pytest.param(error(500, "failed calling webhook: refused"), "ApiUnavailable", 1, id="a webhook is down"),
        pytest.param(error(503, "…"), "ApiUnavailable", 1, id="the server is down"),
        pytest.param(Unreachable("reset", maybe_applied=True), "ApiUnavailable", 1, id="no answer"),
        pytest.param(error(403, 'violates PodSecurity "restricted"'), "ObjectRefused", None, id="PodSecurity"),
        pytest.param(error(403, "maximum cpu usage per Pod is 1"), "ObjectRefused", None, id="LimitRange"),
        pytest.param(error(403, "failed quota: q: must specify cpu"), "ObjectRefused", None, id="quota, for ever"),
        pytest.param(error(422, "spec.containers[0].image: Required"), "ObjectRefused", None, id="invalid"),
        pytest.param(error(400, 'admission webhook "w" denied the request'), "ObjectRefused", None, id="a webhook"),
        pytest.param(error(413, "too large"), "ObjectRefused", None, id="too large"),
    ],
)
def test_refusals(problem: ApiError, reason: str, seconds: int | None) -> None:
    fact = refusal(START, problem, T0)
    assert (fact.node, fact.number, fact.reason) == ("a", 2, reason)
    assert fact.message == problem.message
    assert fact.retry_at == (None if seconds is None else T0 + timedelta(seconds=seconds))
    assert fact.failure_class is FailureClass.CONFIGURATION


def test_an_error_without_words_is_told_by_its_number() -> None:
    assert "503" in refusal(START, error(503), T0).message


@pytest.mark.parametrize(
    ("problem", "blocks"),
    [
        pytest.param(error(403, RBAC), True, id="rights"),
        pytest.param(error(401), True, id="credentials"),
        pytest.param(error(403, "exceeded quota: q"), False, id="quota"),
        pytest.param(error(403, 'violates PodSecurity "restricted"'), False, id="PodSecurity"),
        pytest.param(error(500), False, id="an outage"),
    ],
)
def test_only_missing_rights_stall_a_run(problem: ApiError, blocks: bool) -> None:
    assert blocks_operator(problem) is blocks
