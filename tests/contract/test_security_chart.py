"""What the chart has besides its defaults, as the real Helm renders it and a real API server takes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from e2e.kubectl import CommandFailed
from tests.contract.test_chart import Object, cluster, helm, only, pod, render, restricted

__all__ = ["cluster", "helm", "restricted"]

SECURE = {"metrics__secure": "true", "metrics__certSecretName": '"metrics-tls"'}
PODS = {"podPolicy__hostAccess": "false", "podPolicy__images": '["good.example/"]'}


def named(documents: list[Object], kind: str, end: str) -> Object:
    [found] = [each for each in documents if each["kind"] == kind and each["metadata"]["name"].endswith(end)]
    return found


def test_the_api_server_takes_all_of_it(helm: Path, cluster: object, restricted: str) -> None:
    documents = render(helm, crds__install="false", traces__endpoint='"http://a:4318/v1/traces"', **SECURE, **PODS)
    for document in documents:
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = restricted
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    printed = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=listed)  # type: ignore[attr-defined]
    assert printed.count("(server dry run)") == len(documents)


def test_metrics_over_tls_have_a_port_a_certificate_and_the_right_to_ask(helm: Path) -> None:
    documents = render(helm, **SECURE)
    [container] = pod(documents)["spec"]["containers"]
    assert {"--metrics-port=8443", "--metrics-auth", "--metrics-cert=/etc/fairlead/metrics/tls.crt"} <= set(
        container["args"]
    )
    metrics, probes = only(documents, "Service")["spec"]["ports"]
    assert (metrics["name"], metrics["port"], metrics["targetPort"]) == ("metrics", 8443, "secure-metrics")
    assert (probes["port"], probes["targetPort"]) == (8080, "metrics")  # of the container: /readyz is there, as ever
    rules = named(documents, "ClusterRole", ":metrics-callers")["rules"]
    assert {resource for rule in rules for resource in rule["resources"]} == {"tokenreviews", "subjectaccessreviews"}
    reader = named(documents, "ClusterRole", ":metrics-reader")
    assert reader["rules"] == [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]


def test_without_a_certificate_there_are_none(helm: Path) -> None:
    with pytest.raises(CommandFailed, match=r"metrics\.secure needs a certificate"):
        render(helm, metrics__secure="true")


def test_nobody_may_ask_about_callers_unless_there_are_some(helm: Path) -> None:
    assert "tokenreviews" not in json.dumps(render(helm))


def test_pods_of_runs_are_judged_only_where_something_is_asked_of_them(helm: Path) -> None:
    assert "fairlead.ns.pods" not in json.dumps(render(helm))
    policy = named(render(helm, **PODS), "ValidatingAdmissionPolicy", ".pods")
    assert len(policy["spec"]["validations"]) == 5
    only_images = named(render(helm, podPolicy__images=PODS["podPolicy__images"]), "ValidatingAdmissionPolicy", ".pods")
    assert len(only_images["spec"]["validations"]) == 1


def test_authors_rights_can_be_left_out(helm: Path) -> None:
    assert "fairlead-author-rights" not in json.dumps(render(helm, admissionPolicy__rights="false"))
    policy = named(render(helm), "ValidatingAdmissionPolicy", "fairlead-author-rights")
    [operator] = [each for each in policy["spec"]["matchConditions"] if each["name"] == "not-by-the-operator"]
    assert operator["expression"] == '!(request.userInfo.username in ["system:serviceaccount:ns:fairlead"])'


def test_traces_are_sent_where_the_values_say(helm: Path) -> None:
    assert not any("traces" in each for each in pod(render(helm))["spec"]["containers"][0]["args"])
    args = pod(render(helm, traces__endpoint='"http://a:4318/v1/traces"'))["spec"]["containers"][0]["args"]
    assert "--traces-endpoint=http://a:4318/v1/traces" in args
