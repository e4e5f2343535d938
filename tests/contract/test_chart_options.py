"""What the chart's values do: namespaces by name, several replicas, who may talk to whom, what Helm runs by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from e2e.devcluster import binaries
from e2e.kubectl import Cluster, CommandFailed
from tests.contract.charts import CHART, Object, is_hook, only, pod, render, run

TEAMS = '["team-a", "team-b"]'


@pytest.fixture(scope="module", params=["helm", "helm3"])
def helm(request: pytest.FixtureRequest) -> Path:
    return binaries.ensure((request.param,))[request.param]


def arguments(documents: list[Object]) -> list[str]:
    [container] = pod(documents)["spec"]["containers"]
    found: list[str] = container["args"]
    return found


def of_kind(documents: list[Object], kind: str) -> dict[tuple[str, str], Object]:
    """Objects of a kind by namespace and name."""
    metadata = [(each, each["metadata"]) for each in documents if each["kind"] == kind]
    return {(meta.get("namespace", ""), meta["name"]): each for each, meta in metadata}


def granted(rules: list[Object]) -> set[tuple[str, str]]:
    return {(verb, resource) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}


# -- namespaces by name


def test_the_operator_is_told_which_namespaces_to_serve(helm: Path) -> None:
    told = [each for each in arguments(render(helm, watchNamespaces=TEAMS)) if "namespace" in each]
    assert told == ["--watch-namespace=team-a", "--watch-namespace=team-b"]


def test_it_has_a_role_in_each_and_hardly_any_right_elsewhere(helm: Path) -> None:
    documents = render(helm, watchNamespaces=TEAMS)
    roles, bindings = of_kind(documents, "Role"), of_kind(documents, "RoleBinding")
    names = {(team, "ns:fairlead") for team in ("team-a", "team-b")}
    assert set(roles) == set(bindings) == names
    everything = granted(of_kind(render(helm), "ClusterRole")["", "ns:fairlead"]["rules"])
    wide = granted(of_kind(documents, "ClusterRole")["", "ns:fairlead"]["rules"])
    assert {resource for _, resource in wide} == {
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
    }
    for name in names:
        assert granted(roles[name]["rules"]) | wide == everything
        assert bindings[name]["subjects"] == [{"kind": "ServiceAccount", "name": "fairlead", "namespace": "ns"}]


def test_the_webhook_is_asked_about_these_namespaces_only(helm: Path) -> None:
    documents = render(helm, watchNamespaces=TEAMS, webhook__enabled="true")
    [webhook] = only(documents, "ValidatingWebhookConfiguration")["webhooks"]
    [expression] = webhook["namespaceSelector"]["matchExpressions"]
    assert (expression["key"], expression["values"]) == ("kubernetes.io/metadata.name", ["team-a", "team-b"])
    [everywhere] = only(render(helm, webhook__enabled="true"), "ValidatingWebhookConfiguration")["webhooks"]
    assert "namespaceSelector" not in everywhere


@pytest.mark.parametrize("wrong", ['"team-a"', '["team-*"]', '["a", "a"]', '[""]'])
def test_what_is_no_list_of_names_is_refused(helm: Path, wrong: str) -> None:
    with pytest.raises(CommandFailed, match="watchNamespaces"):
        render(helm, watchNamespaces=wrong)


# -- history limits


def test_a_limit_may_be_a_number_or_a_string(helm: Path) -> None:
    limits = {"historyLimits__succeeded": '[100, "200", "data=500"]', "historyLimits__failed": "[2000000]"}
    assert [each for each in arguments(render(helm, **limits)) if "history" in each] == [
        "--succeeded-history-limit=100",
        "--succeeded-history-limit=200",
        "--succeeded-history-limit=data=500",
        "--failed-history-limit=2000000",
    ]


# -- the webhook's certificate, made by the operators


def test_a_webhook_needs_nothing_else(helm: Path) -> None:
    documents = render(helm, webhook__enabled="true")
    [webhook] = only(documents, "ValidatingWebhookConfiguration")["webhooks"]
    assert "caBundle" not in webhook["clientConfig"]  # the operators write it, and Helm must not take it away
    secret = only(documents, "Secret")
    assert "data" not in secret  # likewise
    service, configuration = webhook["clientConfig"]["service"], only(documents, "ValidatingWebhookConfiguration")
    assert {
        f"--webhook-secret=ns/{secret['metadata']['name']}",
        f"--webhook-service={service['name']}",
        f"--webhook-configuration={configuration['metadata']['name']}",
    } <= set(arguments(documents))
    assert "webhook-certificate" not in json.dumps(pod(documents))


def test_the_operator_may_keep_that_secret_and_no_other(helm: Path) -> None:
    documents = render(helm, webhook__enabled="true")
    [rule] = of_kind(documents, "Role")["ns", "fairlead"]["rules"]
    assert (rule["resources"], rule["verbs"]) == (["secrets"], ["get", "patch"])
    assert rule["resourceNames"] == [only(documents, "Secret")["metadata"]["name"]]
    [wide] = [
        rule
        for rule in of_kind(documents, "ClusterRole")["", "ns:fairlead"]["rules"]
        if "validatingwebhookconfigurations" in rule["resources"]
    ]
    assert (wide["resourceNames"], wide["verbs"]) == (["fairlead.ns"], ["get", "patch"])


@pytest.mark.parametrize(
    "settings",
    [
        {"webhook__enabled": "false"},
        {"webhook__enabled": "true", "webhook__certManager__enabled": "true"},
        {
            "webhook__enabled": "true",
            "webhook__certSecretName": '"x"',
            "webhook__caBundle": '"-----BEGIN CERTIFICATE-----"',
        },
    ],
    ids=["no webhook", "cert-manager", "a certificate of the user"],
)
def test_otherwise_it_may_read_no_secret_at_all(helm: Path, settings: dict[str, str]) -> None:
    documents = render(helm, **settings)
    rules = [rule for each in documents for rule in each.get("rules", ())]
    assert not {"secrets", "validatingwebhookconfigurations"} & {name for rule in rules for name in rule["resources"]}
    assert not of_kind(documents, "Secret")


# -- several replicas


def test_several_replicas_are_spread_and_not_drained_at_once(helm: Path) -> None:
    documents = render(helm, replicas="3")
    labels = pod(documents)["metadata"]["labels"]
    budget = only(documents, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    spread = pod(documents)["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert all(each["whenUnsatisfiable"] == "ScheduleAnyway" for each in spread)
    assert all(each["labelSelector"]["matchLabels"].items() <= labels.items() for each in spread)


def test_one_alone_stands_in_the_way_of_no_drain(helm: Path) -> None:
    documents = render(helm)
    assert not of_kind(documents, "PodDisruptionBudget")
    assert "topologySpreadConstraints" not in pod(documents)["spec"]


def test_the_budget_and_the_spread_are_the_users(helm: Path) -> None:
    own = '[{"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}]'
    documents = render(helm, replicas="3", podDisruptionBudget__maxUnavailable='"50%"', topologySpreadConstraints=own)
    assert only(documents, "PodDisruptionBudget")["spec"]["maxUnavailable"] == "50%"
    assert pod(documents)["spec"]["topologySpreadConstraints"] == json.loads(own)
    assert not of_kind(render(helm, replicas="3", podDisruptionBudget__enabled="false"), "PodDisruptionBudget")


# -- who may talk to whom


def test_there_is_no_network_policy_unless_it_is_asked_for(helm: Path) -> None:
    assert not of_kind(render(helm), "NetworkPolicy")


def test_the_network_policy_lets_in_and_out_what_is_needed(helm: Path) -> None:
    documents = render(
        helm,
        networkPolicy__enabled="true",
        webhook__enabled="true",
        networkPolicy__metricsFrom='[{"namespaceSelector": {}}]',
        networkPolicy__extraEgress='[{"ports": [{"port": 8443}]}]',
    )
    spec = only(documents, "NetworkPolicy")["spec"]
    assert spec["podSelector"]["matchLabels"].items() <= pod(documents)["metadata"]["labels"].items()
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    [container] = pod(documents)["spec"]["containers"]
    names = {port["name"] for port in container["ports"]}
    metrics, webhook = spec["ingress"]
    assert {port["port"] for rule in spec["ingress"] for port in rule["ports"]} == names
    assert metrics["from"] == [{"namespaceSelector": {}}]
    assert "from" not in webhook
    dns, server, _, extra = spec["egress"]
    assert {(each["port"], each["protocol"]) for each in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert [each["port"] for each in server["ports"]] == [443, 6443]
    assert extra == {"ports": [{"port": 8443}]}


def ports(rules: list[Object]) -> list[int | str]:
    return [each["port"] for rule in rules for each in rule["ports"]]


@pytest.mark.parametrize(
    ("endpoint", "more"),
    [
        ("http://collector.o.svc:4318/v1/traces", [4318]),
        ("http://[fd12::1]:4318", [4318]),
        ("https://otlp.example", []),
    ],
)
def test_the_network_policy_lets_traces_out(helm: Path, endpoint: str, more: list[int]) -> None:
    plain = only(render(helm, networkPolicy__enabled="true"), "NetworkPolicy")["spec"]
    documents = render(helm, networkPolicy__enabled="true", traces__endpoint=json.dumps(endpoint))
    assert ports(only(documents, "NetworkPolicy")["spec"]["egress"]) == ports(plain["egress"]) + more


def test_the_network_policy_lets_records_out_to_a_store_of_ones_own(helm: Path) -> None:
    documents = render(helm, networkPolicy__enabled="true", networkPolicy__archivePorts="[9000, 9001]")
    assert ports(only(documents, "NetworkPolicy")["spec"]["egress"])[-2:] == [9000, 9001]


def test_the_network_policy_lets_everybody_ask_for_health_where_that_port_has_no_metrics(helm: Path) -> None:
    peers = {"networkPolicy__enabled": "true", "networkPolicy__metricsFrom": '[{"namespaceSelector": {}}]'}
    secure = {"metrics__secure": "true", "metrics__certSecretName": '"tls"'}
    metrics, probes = only(render(helm, **peers, **secure), "NetworkPolicy")["spec"]["ingress"]
    assert (ports([metrics]), ports([probes])) == (["secure-metrics"], ["metrics"])
    assert "from" in metrics
    assert "from" not in probes
    [both] = only(render(helm, **peers), "NetworkPolicy")["spec"]["ingress"]
    assert ports([both]) == ["metrics"]
    assert "from" in both


# -- what Helm runs by itself


def hooks(documents: list[Object], hook: str) -> list[Object]:
    return [each for each in documents if is_hook(each) and each["metadata"]["annotations"]["helm.sh/hook"] == hook]


@pytest.mark.parametrize("hook", ["test", "post-delete"])
def test_what_runs_for_a_moment_is_as_confined_as_the_operator(helm: Path, hook: str) -> None:
    documents = render(helm, hooks=True)
    template = only(hooks(documents, hook), "Job")["spec"]["template"]
    operator = pod(documents)
    assert template["spec"]["containers"][0]["image"] == operator["spec"]["containers"][0]["image"]
    confined = operator["spec"]["containers"][0]["securityContext"]
    assert template["spec"]["containers"][0]["securityContext"] == confined
    assert template["spec"]["securityContext"].items() <= operator["spec"]["securityContext"].items()
    service = only([each for each in documents if not is_hook(each)], "Service")
    assert not service["spec"]["selector"].items() <= template["metadata"]["labels"].items()


def test_the_test_may_make_one_workflow_and_nothing_else(helm: Path) -> None:
    found = hooks(render(helm, hooks=True), "test")
    role = only(found, "Role")
    # Pods of its own it makes none; it has to be allowed to by `fairlead-author-rights`, since its workflow does.
    of_workflows = {(verb, "workflows") for verb in ("create", "get", "delete")}
    assert granted(role["rules"]) == {*of_workflows, ("create", "pods")}
    assert role["metadata"]["namespace"] == "ns"
    assert (
        only(hooks(render(helm, hooks=True, watchNamespaces=TEAMS), "test"), "Role")["metadata"]["namespace"]
        == "team-a"
    )


def test_uninstalling_releases_with_no_more_rights_than_the_operator_had(helm: Path) -> None:
    documents = render(helm, hooks=True, replicas="2")
    found = hooks(documents, "post-delete")
    had = granted(of_kind(documents, "ClusterRole")["", "ns:fairlead"]["rules"])
    needs = granted(of_kind(found, "ClusterRole")["", "ns:fairlead-release"]["rules"])
    assert needs < had
    assert {verb for verb, _ in needs} == {"get", "list", "patch"}
    assert "--all-namespaces" in only(found, "Job")["spec"]["template"]["spec"]["containers"][0]["args"]


def test_uninstalling_releases_where_the_operator_was(helm: Path) -> None:
    found = hooks(render(helm, hooks=True, watchNamespaces=TEAMS), "post-delete")
    assert not of_kind(found, "ClusterRole")
    assert {namespace for namespace, name in of_kind(found, "Role") if name == "ns:fairlead-release"} == {
        "team-a",
        "team-b",
    }
    told = only(found, "Job")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert [each for each in told if each.startswith("--namespace=")] == ["--namespace=team-a", "--namespace=team-b"]


def test_uninstalling_can_leave_everything_held(helm: Path) -> None:
    assert not hooks(render(helm, hooks=True, releaseOnUninstall="false"), "post-delete")


# -- names

OPTIONAL = {
    "replicas": "2",
    "networkPolicy__enabled": "true",
    "metrics__serviceMonitor__enabled": "true",
    "metrics__prometheusRule__enabled": "true",
    "metrics__dashboards__enabled": "true",
    "podPolicy__hostAccess": "false",
}


def names(node: object) -> list[object]:
    """What stands for names and namespaces anywhere in an object."""
    if isinstance(node, list):
        return [found for each in node for found in names(each)]
    if not isinstance(node, dict):
        return []
    own = [node[key] for key in node if key.endswith(("name", "namespace", "Name")) and not isinstance(node[key], dict)]
    return own + [found for each in node.values() for found in names(each)]


@pytest.mark.parametrize(
    "certificate", [{}, {"webhook__certManager__enabled": "true", "webhook__certManager__issuerName": '"7"'}]
)
def test_names_may_look_like_numbers(helm: Path, certificate: dict[str, str]) -> None:
    settings = {
        "namespaceOverride": '"456"',
        "watchNamespaces": '["789"]',
        "serviceAccount__name": '"1"',
        "archive__volumeClaim": '"2"',
        "archive__credentialsSecret": '"3"',
        "priorityClassName": '"4"',
        "metrics__secure": "true",
        "metrics__certSecretName": '"5"',
        "nameOverride": '"6"',
        "webhook__enabled": "true",
    }
    documents = render(helm, hooks=True, crds__install="false", **OPTIONAL, **settings, **certificate)
    found = [each for document in documents for each in names(document)]
    assert {"456", "789", "1", "2", "3", "4", "5", "6"} <= set(found)
    assert [each for each in found if not isinstance(each, str)] == []
    monitor = only(documents, "ServiceMonitor")["spec"]
    assert monitor["namespaceSelector"]["matchNames"] == ["456"]


def test_the_longest_name_of_a_release_leaves_room_for_those_of_services(helm: Path) -> None:
    release = "r" * 53  # as long as Helm lets it be
    text = run(helm, "template", release, str(CHART), "--set", "crds.install=false,webhook.enabled=true")
    documents = [each for each in yaml.safe_load_all(text) if each]
    services = [each["metadata"]["name"] for each in documents if each["kind"] == "Service"]
    assert len(set(services)) == 2
    assert all(len(each) <= 63 for each in services)


# -- the rest


def test_further_objects_volumes_and_variables(helm: Path) -> None:
    documents = render(
        helm,
        extraObjects='["apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: one}", '
        '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-two"}}]',
        extraEnv='[{"name": "SSL_CERT_FILE", "value": "/ca/ca.crt"}]',
        extraVolumes='[{"name": "ca", "configMap": {"name": "ca"}}]',
        extraVolumeMounts='[{"name": "ca", "mountPath": "/ca"}]',
        priorityClassName='"system-cluster-critical"',
    )
    assert {name for _, name in of_kind(documents, "ConfigMap")} == {"one", "fairlead-two"}
    spec = pod(documents)["spec"]
    [container] = spec["containers"]
    assert container["env"] == [{"name": "SSL_CERT_FILE", "value": "/ca/ca.crt"}]
    assert (
        [each["name"] for each in spec["volumes"]]
        == [each["name"] for each in container["volumeMounts"]]
        == ["tmp", "ca"]
    )
    assert spec["priorityClassName"] == "system-cluster-critical"


def test_labels_for_everything_do_not_replace_the_charts_own(helm: Path) -> None:
    documents = render(helm, hooks=True, commonLabels='{"team": "data", "app.kubernetes.io/name": "mine"}')
    for document in documents:
        labels = document["metadata"]["labels"]
        assert (labels["team"], labels["app.kubernetes.io/name"]) == ("data", "fairlead")


def test_another_namespace_than_the_releases(helm: Path) -> None:
    documents = render(helm, hooks=True, namespaceOverride='"elsewhere"', replicas="2", webhook__enabled="true")
    assert {each["metadata"].get("namespace", "elsewhere") for each in documents} == {"elsewhere"}
    for document in documents:
        for subject in document.get("subjects", ()):
            assert subject["namespace"] == "elsewhere"
    assert "--lease-namespace=elsewhere" in arguments(documents)


def test_one_registry_for_all_charts(helm: Path) -> None:
    documents = render(helm, hooks=True, **{"global": '{"imageRegistry": "localhost:5000", "other": {"chart": 1}}'})
    images = {
        container["image"]
        for each in documents
        if each["kind"] in ("Deployment", "Job")
        for container in each["spec"]["template"]["spec"]["containers"]
    }
    assert images == {"localhost:5000/fairlead/operator:0.1.0"}


def test_the_notes_say_what_to_do_next_where_that_is_possible(helm: Path) -> None:
    # Without what may be in the cluster already, as somebody else's.
    without = ("--set", "crds.install=false,admissionPolicy.enabled=false")
    options = ("install", "fairlead", str(CHART), "--namespace", "ns", "--dry-run=client", *without)
    known = Cluster.current().environment  # Helm 3 asks it for its version
    printed = run(helm, *options, "--set", "watchNamespaces={team-a}", environment=known)
    assert "It serves the namespaces team-a." in printed
    assert "kubectl apply --namespace team-a -f examples/hello.yaml" in printed
    assert "It serves the whole cluster." in run(helm, *options, environment=known)
