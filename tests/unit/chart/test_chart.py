"""The chart's files say what they should and agree with each other: without Helm, which tests/contract uses."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tools.chart_documents import readme, values_in
from tools.chart_values import SETTINGS

import fairlead
from fairlead.api.action import WorkflowAction
from fairlead.api.template import WorkflowTemplate
from fairlead.api.workflow import Workflow
from fairlead.controllers.identity import POLICY, is_in_force
from fairlead.controllers.options import OperatorOptions
from fairlead.controllers.webhook import _ANSWER_SECONDS

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "fairlead"
VALUES = CHART / "values.yaml"
TEMPLATES = {path.name: path.read_text() for path in (CHART / "templates").iterdir()}

#: Objects whose keys are the user's: labels, a pod's own fields, and Helm's `global`.
FREE = {
    "global",
    "crds.annotations",
    "commonLabels",
    "serviceAccount.annotations",
    "podLabels",
    "podAnnotations",
    "nodeSelector",
    "affinity",
    "resources.requests",
    "resources.limits",
    "metrics.serviceMonitor.labels",
    "metrics.podMonitor.labels",
    "metrics.prometheusRule.labels",
    "metrics.dashboards.labels",
    "metrics.dashboards.annotations",
}


def values() -> dict[str, Any]:
    return yaml.safe_load(VALUES.read_text())


def schema() -> dict[str, Any]:
    return json.loads((CHART / "values.schema.json").read_text())


def leaves(tree: dict[str, Any], path: str = "") -> set[str]:
    """The keys that carry a value: those of objects that are the user's, or empty, count as one."""
    found = set()
    for key, value in tree.items():
        name = f"{path}.{key}".lstrip(".")
        found |= leaves(value, name) if isinstance(value, dict) and value and name != "resources" else {name}
    return found


def test_one_version_everywhere() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == fairlead.__version__
    assert f"ARG VERSION={fairlead.__version__}\n" in (ROOT / "Dockerfile").read_text()


def test_managed_clusters_with_a_suffix_in_their_version_are_let_in() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"].endswith("-0")


def test_the_defaults_satisfy_the_schema() -> None:
    jsonschema.Draft7Validator.check_schema(schema())
    jsonschema.validate(values(), schema())


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": 0},
        {"image": {"tagg": "1"}},
        {"image": {"tag": 1.1}},
        {"image": {"digest": "sha256:123"}},
        {"image": {"pullPolicy": "Sometimes"}},
        {"imagePullSecrets": ["name"]},
        {"crds": {"keep": "true"}},
        {"webhook": {"caBundle": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"}},
        {"webhook": {"certManager": {"issuerKind": "Secret"}}},
        {"logLevel": "LOUD"},
        {"maxInFlight": 0},
        {"watchNamespaces": "team-a"},
        {"watchNamespaces": ["team-*"]},
        {"watchNamespaces": ["a", "a"]},
        {"podDisruptionBudget": {"maxUnavailable": "many"}},
        {"networkPolicy": {"apiServerPorts": []}},
        {"global": {"imageRegistry": 1}},
        {"http": {"allowPrivate": "10.0.0.0/8"}},
        {"http": {"allowPrivate": ["internal.example"]}},
        {"podLabels": {"a": 1}},
        {"historyLimits": {"succeeded": [-1]}},
        {"historyLimits": {"failed": ["data="]}},
        {"archive": {"url": "file:///archive"}},
        {"archive": {"url": "s3://key:secret@bucket"}},
        {"resources": {"request": {}}},
        {"nameOverride": "Foo_Bar"},
        {"fullnameOverride": "a" * 56},
    ],
    ids=json.dumps,
)
def test_the_schema_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema())


def test_every_object_of_the_schema_is_closed() -> None:
    def check(node: dict[str, Any], path: str) -> None:
        if "properties" in node and path != "global":  # where other charts have theirs
            assert node["additionalProperties"] is False, path
        for key, child in node.get("properties", {}).items():
            check(child, f"{path}.{key}".lstrip("."))
        if node.get("type") == "object" and "properties" not in node:
            assert path in FREE, path

    check(schema(), "")


def test_schema_and_defaults_have_the_same_keys() -> None:
    def keys(node: dict[str, Any], path: str = "") -> set[str]:
        found = set()
        for key, child in node.get("properties", {}).items():
            name = f"{path}.{key}".lstrip(".")
            found |= keys(child, name) if "properties" in child and name != "resources" else {name}
        return found

    assert keys(schema()) == leaves(values())


def test_every_value_is_documented() -> None:
    assert [value.name for value in values_in(VALUES.read_text()) if not value.meaning] == []
    assert {value.name for value in values_in(VALUES.read_text())} == leaves(values())


def test_a_value_that_nobody_documented_is_noticed() -> None:
    [one, other] = values_in("a:\n  # -- What it is.\n  b: 1\n  c: [x]\n")
    assert (one.name, one.default, one.meaning) == ("a.b", 1, "What it is.")
    assert (other.name, other.default, other.meaning) == ("a.c", ["x"], "")


def test_settings_of_the_operator_have_its_defaults() -> None:
    """A chart that is told nothing runs the operator as if it were told nothing."""
    ours = OperatorOptions()
    for setting, name in SETTINGS.items():
        if setting == "log_format":
            continue  # in a pod, nobody looks at a terminal
        default = next(value.default for value in values_in(VALUES.read_text()) if value.name == name)
        assert getattr(ours, setting) == (tuple(default) if isinstance(default, list) else default), name


def test_every_setting_of_the_operator_is_a_value_or_follows_from_some() -> None:
    follows = {
        "listen", "port", "replica", "lease_namespace",  # of a pod, and of `replicas`
        "webhook_port", "webhook_cert", "webhook_key", "webhook_keeping",  # of `webhook`
        "metrics_port", "metrics_cert", "metrics_key", "metrics_auth",  # of `metrics`
        "http_allow_private_in",  # of `http.allowPrivate`
        "history",  # of `historyLimits`
        "archive", "keep_logs", "kept_log_bytes",  # of `archive`
        "traces_endpoint",  # of `traces.endpoint`: none is ""
        "kubeconfig", "context",  # outside of a pod
    }  # fmt: skip
    assert {each.name for each in fields(OperatorOptions)} == follows | set(SETTINGS)


def test_readme_and_schema_tell_the_same_of_each_value() -> None:
    table = readme(VALUES.read_text())
    for value in values_in(VALUES.read_text()):
        part = schema()
        for key in value.path:
            part = part["properties"][key]
        assert part["description"] == value.meaning
        assert f"| `{value.name}` |" in table


def test_no_value_without_a_use_and_no_use_without_a_value() -> None:
    text = "".join(TEMPLATES.values())
    used = set(re.findall(r"\.Values\.([\w.]+)", text))
    used |= set(re.findall(r"\.Values\.(global\.imageRegistry)", text))
    # `with .Values.image` reads its members as .registry, .tag and so on.
    used |= {f"image.{name}" for name in re.findall(r"(?<=[ (])\.(\w+)", TEMPLATES["_names.tpl"])} & leaves(values())
    used.discard("image")
    assert used == leaves(values())


def test_the_chart_carries_the_crds_of_the_repository() -> None:
    ours = {path.name: path.read_text() for path in (ROOT / "crds").glob("*.yaml")}
    copies = {path.name: path.read_text() for path in (CHART / "files" / "crds").glob("*.yaml")}
    assert copies == ours


def test_notes_have_three_commands() -> None:
    assert re.findall(r"^(\d)\. ", TEMPLATES["NOTES.txt"], re.MULTILINE) == ["1", "2", "3"]


# -- who may ask for what of a run


def documents(template: str) -> list[dict[str, Any]]:
    """A template's objects, with what Helm fills in left out."""
    text = re.sub(r"^.*\{\{.*\}\}.*$\n", "", TEMPLATES[template], flags=re.MULTILINE)
    return list(yaml.safe_load_all(text))


def test_the_policy_and_its_binding_have_the_name_that_the_operator_looks_for() -> None:
    policy, binding = documents("admission-policy.yaml")
    assert policy["metadata"]["name"] == binding["metadata"]["name"] == POLICY
    assert is_in_force(policy, binding)


# -- the webhook


def test_the_webhook_is_asked_about_what_it_judges_and_can_be_away() -> None:
    configuration = documents("webhook.yaml")[0]
    [webhook] = configuration["webhooks"]
    [rule] = webhook["rules"]
    assert set(rule["resources"]) == {model.PLURAL for model in (Workflow, WorkflowTemplate, WorkflowAction)}
    assert set(rule["operations"]) == {"CREATE", "UPDATE"}
    assert (rule["apiGroups"], rule["apiVersions"]) == ([Workflow.GROUP], [Workflow.VERSION])
    assert (webhook["failurePolicy"], webhook["sideEffects"], webhook["matchPolicy"]) == (
        "Ignore",
        "None",
        "Equivalent",
    )
    assert webhook["admissionReviewVersions"] == ["v1"]


def test_the_webhook_answers_before_nobody_waits_any_more() -> None:
    [webhook] = documents("webhook.yaml")[0]["webhooks"]
    assert webhook["timeoutSeconds"] > _ANSWER_SECONDS


def test_no_replica_writes_the_configuration() -> None:
    """They would overwrite each other's authority."""
    assert "create" not in TEMPLATES["_rules.tpl"].partition("validatingwebhookconfigurations")[2]


def test_several_replicas_have_leases_and_the_rights_to_them() -> None:
    deployment, rbac = TEMPLATES["deployment.yaml"], TEMPLATES["rbac.yaml"]
    several = "{{- if gt (int .Values.replicas) 1 }}"
    where = '{{ include "fairlead.namespace" . }}'
    assert f"{several}\n            - --lease-namespace={where}\n" in deployment
    assert "resources: [leases]\n    verbs: [get, list, watch, create, patch, delete]" in rbac
