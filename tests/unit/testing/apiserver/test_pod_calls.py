"""Binding, eviction and logs."""

from __future__ import annotations

from tests.unit.testing.apiserver.client import NS, Client, pod

from fairlead.kube.resources import PODS, ObjectKey
from fairlead.testing.apiserver.refusals import refusal

PATH = f"/api/v1/namespaces/{NS}/pods/p"


def test_a_pod_is_bound_once_and_that_is_no_change_of_its_generation(api: Client) -> None:
    api.create(PODS, pod())
    api.bind("p")
    bound = api.get(PODS, "p")
    assert bound["spec"]["nodeName"] == "n"
    assert bound["metadata"]["generation"] == 1
    assert bound["status"]["conditions"][0]["type"] == "PodScheduled"
    answer = api.ask("POST", f"{PATH}/binding", {"target": {"name": "m"}})
    assert (answer.code, answer.body["details"]) == (409, {"name": "p", "kind": "pods/binding"})


def test_an_evicted_pod_says_why_and_is_given_time(api: Client) -> None:
    api.create(PODS, pod())
    api.bind("p")
    assert api.ask("POST", f"{PATH}/eviction", {"apiVersion": "policy/v1", "kind": "Eviction"}).code == 201
    evicted = api.get(PODS, "p")
    assert evicted["metadata"]["deletionGracePeriodSeconds"] == 30
    assert evicted["status"]["conditions"][-1]["reason"] == "EvictionByEvictionAPI"


def test_an_eviction_can_be_refused_like_a_write(api: Client) -> None:
    api.create(PODS, pod())
    api.server.admit = lambda *_: refusal(429, "TooManyRequests", "budget", {}, retry_after=10)
    answer = api.ask("POST", f"{PATH}/eviction", {"apiVersion": "policy/v1", "kind": "Eviction"})
    assert (answer.code, answer.headers["Retry-After"]) == (429, "10")
    assert not api.gone(PODS, "p")


def test_a_log_is_what_its_source_says_cut_to_what_was_asked_for(api: Client) -> None:
    api.create(PODS, pod())
    api.server.logs = lambda key, container: f"{key} {container}".encode()
    assert api.ask("GET", f"{PATH}/log", container="side").encoded() == b"ns/p side"
    assert api.ask("GET", f"{PATH}/log", limitBytes="4").encoded() == b"ns/p"
    assert api.ask("GET", f"{PATH}/log", container="none").code == 400
    api.server.logs = lambda *_: refusal(500, "InternalError", "the node does not answer")
    assert api.ask("GET", f"{PATH}/log").code == 500
    assert ObjectKey(NS, "p").name == "p"
