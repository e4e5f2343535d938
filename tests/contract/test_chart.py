"""The chart as the real Helm renders it, and what the real API server says to the result.

Nothing is installed: pods are created as a dry run, in a namespace that enforces the restricted Pod Security profile.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from e2e import install
from e2e.devcluster import binaries, certificates
from e2e.devcluster.progress import run as run_openssl
from e2e.kubectl import Cluster, CommandFailed
from tests.contract.charts import CHART, Object, only, pod, render, run
from tests.unit.chart.test_roles import roles

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", params=["helm", "helm3"])
def helm(request: pytest.FixtureRequest) -> Path:
    return binaries.ensure((request.param,))[request.param]


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster.current()


@pytest.fixture(scope="module")
def restricted(cluster: Cluster) -> Iterator[str]:
    """A namespace that enforces the profile, with the account that a pod needs."""
    name = "fairlead-contract-restricted"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=60s", timeout=70)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(namespace))
    cluster.kubectl("create", "serviceaccount", "fairlead", "-n", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_lint(helm: Path) -> None:
    assert "1 chart(s) linted, 0 chart(s) failed" in run(helm, "lint", "--strict", str(CHART))


@pytest.mark.parametrize("key", ["replicaCount", "image.name", "crds.instal", "resources.memory"])
def test_unknown_values_are_refused(helm: Path, key: str) -> None:
    with pytest.raises(CommandFailed, match="additional properties"):
        run(helm, "template", "fairlead", str(CHART), "--set", f"{key}=1")


def test_kubernetes_before_1_30_is_refused(helm: Path) -> None:
    with pytest.raises(CommandFailed, match="incompatible with Kubernetes"):
        run(helm, "template", "fairlead", str(CHART), "--kube-version", "1.29.9")
    run(helm, "template", "fairlead", str(CHART), "--kube-version", "1.30.1-gke.100")


def test_the_pod_satisfies_the_restricted_profile(helm: Path, cluster: Cluster, restricted: str) -> None:
    dry_run = ("create", "--dry-run=server", "--validate=strict", "-n", restricted, "-f", "-")
    rendered = pod(render(helm))
    assert "pod/rendered created" in cluster.kubectl(*dry_run, stdin=json.dumps(rendered))

    loosened = deepcopy(rendered)  # without this, the check above might check nothing
    del loosened["spec"]["containers"][0]["securityContext"]["capabilities"]
    with pytest.raises(CommandFailed, match="violates PodSecurity"):
        cluster.kubectl(*dry_run, stdin=json.dumps(loosened))


def test_the_pod_does_more_than_the_profile_asks(helm: Path) -> None:
    spec = pod(render(helm))["spec"]
    [container] = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["seccompProfile"] == spec["securityContext"]["seccompProfile"]
    assert spec["securityContext"]["runAsUser"] == 65532
    assert spec["enableServiceLinks"] is False
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]
    assert {"livenessProbe", "readinessProbe", "startupProbe"} <= set(container)


def test_two_operators_never_overlap_by_a_rollout(helm: Path) -> None:
    spec = only(render(helm), "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")


def test_the_api_server_takes_everything(helm: Path, cluster: Cluster, restricted: str) -> None:
    documents = render(helm, hooks=True, crds__install="false", networkPolicy__enabled="true", replicas="2")
    for document in documents:
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = restricted
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    printed = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=listed)
    assert printed.count("(server dry run)") == len(documents)


def test_the_operator_has_exactly_the_rights_that_it_uses(helm: Path) -> None:
    roles = {each["metadata"]["name"]: each["rules"] for each in render(helm) if each["kind"] == "ClusterRole"}
    granted: dict[str, tuple[str, ...]] = {}
    for rule in roles["ns:fairlead"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                plural, slash, subresource = resource.partition("/")
                name = "".join(f"={each}" for each in rule.get("resourceNames", ()))
                granted[f"{plural}.{group}".rstrip(".") + slash + subresource + name] = tuple(rule["verbs"])
    assert granted == install.ALLOWED
    assert not {"*", "secrets"} & {part for rules in roles.values() for rule in rules for part in rule["resources"]}


def test_no_right_is_bound_without_rbac_create(helm: Path) -> None:
    kinds = {each["kind"] for each in render(helm, rbac__create="false", rbac__aggregateClusterRoles="false")}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


def test_acting_as_service_accounts_can_be_refused(helm: Path) -> None:
    rules = [
        rule
        for each in render(helm, rbac__impersonateServiceAccounts="false")
        if each["kind"] == "ClusterRole"
        for rule in each["rules"]
    ]
    assert not any("impersonate" in rule["verbs"] for rule in rules)


def test_people_who_may_view_or_edit_a_namespace_may_do_so_with_workflows(helm: Path) -> None:
    roles = {each["metadata"]["name"]: each for each in render(helm) if each["kind"] == "ClusterRole"}
    view, edit = roles["ns:fairlead:view"], roles["ns:fairlead:edit"]
    aggregate = "rbac.authorization.k8s.io/aggregate-to-"
    assert view["metadata"]["labels"][f"{aggregate}view"] == "true"
    assert edit["metadata"]["labels"][f"{aggregate}edit"] == "true"
    assert f"{aggregate}view" not in edit["metadata"]["labels"]
    assert {verb for rule in view["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_the_roles_of_people_are_rendered_as_the_unit_tests_read_them(helm: Path) -> None:
    """`unit/test_kinds_table.py` and `unit/chart/test_roles.py` judge them without Helm."""

    def seen(roles: Iterable[Object]) -> Object:
        found = {}
        for each in roles:
            labels = each["metadata"]["labels"] or {}
            aggregated = {name: value for name, value in labels.items() if "aggregate-to-" in name}
            found[each["metadata"]["name"].rpartition(":")[2]] = (each["rules"], aggregated)
        return found

    ours = seen(roles("user-roles.yaml").values())
    rendered = seen(each for each in render(helm) if each["kind"] == "ClusterRole")
    assert ours.keys() >= {"view", "edit", "admin"}
    assert {name: rendered[name] for name in ours} == ours


def test_the_crds_are_those_of_the_repository(helm: Path) -> None:
    rendered = [each for each in render(helm) if each["kind"] == "CustomResourceDefinition"]
    ours = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    assert [each["spec"] for each in rendered] == [each["spec"] for each in ours]
    assert all(each["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"} for each in rendered)


def test_crds_may_have_annotations(helm: Path) -> None:
    wave = {"argocd.argoproj.io/sync-wave": "-1"}
    for keep, more in (("true", {"helm.sh/resource-policy": "keep"}), ("false", {})):
        rendered = render(helm, crds__keep=keep, crds__annotations=json.dumps(wave))
        rendered = [each for each in rendered if each["kind"] == "CustomResourceDefinition"]
        assert rendered
        assert all(each["metadata"]["annotations"] == wave | more for each in rendered)


def test_crds_can_be_left_out_or_go_with_the_release(helm: Path) -> None:
    assert "CustomResourceDefinition" not in {each["kind"] for each in render(helm, crds__install="false")}
    kept = [each for each in render(helm, crds__keep="false") if each["kind"] == "CustomResourceDefinition"]
    assert not any("annotations" in each["metadata"] for each in kept)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, "docker.io/fairlead/operator:0.1.0"),
        ({"tag": "x"}, "docker.io/fairlead/operator:x"),
        ({"registry": "localhost:5000", "repository": "a/b"}, "localhost:5000/a/b:0.1.0"),
        ({"registry": "", "repository": "b", "tag": "c"}, "b:c"),
        ({"tag": "x", "digest": "sha256:" + "0" * 64}, f"docker.io/fairlead/operator@sha256:{'0' * 64}"),
    ],
)
def test_image(helm: Path, image: Object, expected: str) -> None:
    assert pod(render(helm, image=json.dumps(image)))["spec"]["containers"][0]["image"] == expected


def test_the_selectors_find_the_pod_whatever_labels_it_gets(helm: Path) -> None:
    documents = render(helm, podLabels='{"app.kubernetes.io/name": "mine", "team": "data"}')
    labels = pod(documents)["metadata"]["labels"]
    assert labels["team"] == "data"
    deployment, service = only(documents, "Deployment"), only(documents, "Service")
    for selector in (deployment["spec"]["selector"]["matchLabels"], service["spec"]["selector"]):
        assert selector.items() <= labels.items()


def test_the_options_reach_the_operator(helm: Path) -> None:
    [container] = pod(render(helm, logLevel='"DEBUG"', logFormat='"text"'))["spec"]["containers"]
    expected = ["operator", "--port=8080", "--log-level=DEBUG", "--log-format=text", "--max-in-flight=64"]
    assert container["args"] == expected
    [container] = pod(render(helm, http__allowPrivate='["10.0.0.0/8", "fd12::/16"]'))["spec"]["containers"]
    assert container["args"][-2:] == ["--http-allow-private=10.0.0.0/8", "--http-allow-private=fd12::/16"]


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"archive__volumeClaim": '"kept"'}, "file:///archive"),
        ({"archive__url": '"s3://bucket/fairlead"'}, "s3://bucket/fairlead"),
    ],
)
def test_an_archive_reaches_the_operator(helm: Path, settings: dict[str, str], url: str) -> None:
    found = pod(render(helm, **settings, archive__keepLogs="true", archive__credentialsSecret='"keys"'))
    (container,) = found["spec"]["containers"]
    assert container["env"] == [{"name": "FAIRLEAD_ARCHIVE", "value": url}]
    assert container["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert {"--keep-logs", "--kept-log-bytes=1048576"} <= set(container["args"])
    claims = [
        each["persistentVolumeClaim"]["claimName"]
        for each in found["spec"]["volumes"]
        if "persistentVolumeClaim" in each
    ]
    mounts = [each["mountPath"] for each in container["volumeMounts"]]
    assert (claims, "/archive" in mounts) == ((["kept"], True) if "archive__volumeClaim" in settings else ([], False))


def test_without_an_archive_there_is_nothing_of_one(helm: Path) -> None:
    found = pod(render(helm))
    assert "archive" not in json.dumps(found).lower()
    assert "--keep-logs" not in found["spec"]["containers"][0]["args"]


def test_no_logs_are_kept_nowhere(helm: Path) -> None:
    with pytest.raises(CommandFailed, match=r"archive\.keepLogs needs an archive"):
        render(helm, archive__keepLogs="true")


def test_where_the_pod_goes(helm: Path) -> None:
    given: Object = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"podAffinity": {}},
        "imagePullSecrets": [{"name": "pull"}],
    }
    spec = pod(render(helm, **{key: json.dumps(value) for key, value in given.items()}))["spec"]
    assert {key: spec[key] for key in given} == given


def test_names_and_labels(helm: Path) -> None:
    documents = render(helm, fullnameOverride='"conductor"', serviceAccount__name='"baton"')
    assert only(documents, "Deployment")["metadata"]["name"] == "conductor"
    assert only(documents, "ClusterRoleBinding")["subjects"][0]["name"] == "baton"
    for document in documents:
        labels = document["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "fairlead"
        assert labels["helm.sh/chart"] == "fairlead-0.1.0"


# -- the webhook

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
BY_SECRET = {"webhook__enabled": "true", "webhook__certSecretName": '"tls"', "webhook__caBundle": json.dumps(CA)}
BY_CERT_MANAGER = {"webhook__enabled": "true", "webhook__certManager__enabled": "true"}


def test_there_is_no_webhook_unless_it_is_asked_for(helm: Path) -> None:
    documents = render(helm)
    assert not {"ValidatingWebhookConfiguration", "Certificate", "Issuer"} & {each["kind"] for each in documents}
    [container] = pod(documents)["spec"]["containers"]
    assert "webhook" not in json.dumps([container, pod(documents)["spec"]["volumes"]])


def test_a_webhook_with_a_secret_of_the_user(helm: Path) -> None:
    documents = render(helm, **BY_SECRET)
    spec = pod(documents)["spec"]
    [volume] = [each for each in spec["volumes"] if each["name"] == "webhook-certificate"]
    assert volume["secret"] == {"secretName": "tls", "optional": True}
    [container] = spec["containers"]
    [mount] = [each for each in container["volumeMounts"] if each["name"] == "webhook-certificate"]
    assert {
        f"--webhook-{name}={mount['mountPath']}/tls.{end}" for name, end in (("cert", "crt"), ("key", "key"))
    } <= set(container["args"])
    configuration = only(documents, "ValidatingWebhookConfiguration")
    assert "annotations" not in configuration["metadata"]
    [webhook] = configuration["webhooks"]
    assert b64decode(webhook["clientConfig"]["caBundle"]).decode() == CA
    assert not {"Certificate", "Issuer"} & {each["kind"] for each in documents}


def test_the_api_server_finds_the_port_of_the_webhook(helm: Path) -> None:
    documents = render(helm, **BY_SECRET)
    [webhook] = only(documents, "ValidatingWebhookConfiguration")["webhooks"]
    asked = webhook["clientConfig"]["service"]
    [service] = [each for each in documents if each["kind"] == "Service" and each["metadata"]["name"] == asked["name"]]
    assert (service["metadata"]["namespace"], asked["path"]) == (asked["namespace"], "/validate")
    [port] = [each for each in service["spec"]["ports"] if each["port"] == asked["port"]]
    [container] = pod(documents)["spec"]["containers"]
    [target] = [each for each in container["ports"] if each["name"] == port["targetPort"]]
    assert f"--webhook-port={target['containerPort']}" in container["args"]
    assert service["spec"]["selector"].items() <= pod(documents)["metadata"]["labels"].items()


def test_the_operator_is_not_asked_about_what_it_creates(helm: Path) -> None:
    [webhook] = only(render(helm, **BY_SECRET, serviceAccount__name='"baton"'), "ValidatingWebhookConfiguration")[
        "webhooks"
    ]
    assert any("'system:serviceaccount:ns:baton'" in each["expression"] for each in webhook["matchConditions"])


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ({}, {"group": "cert-manager.io", "kind": "Issuer", "name": "fairlead-webhook"}),
        (
            {"webhook__certManager__issuerName": '"ours"', "webhook__certManager__issuerKind": '"ClusterIssuer"'},
            {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "ours"},
        ),
    ],
    ids=["the chart's own issuer", "another issuer"],
)
def test_a_webhook_with_cert_manager(helm: Path, issuer: dict[str, str], expected: Object) -> None:
    documents = render(helm, **BY_CERT_MANAGER, **issuer)
    certificate = only(documents, "Certificate")
    assert certificate["spec"]["issuerRef"] == expected
    assert ("Issuer" in {each["kind"] for each in documents}) is (not issuer)
    configuration = only(documents, "ValidatingWebhookConfiguration")
    name = certificate["metadata"]["name"]
    assert configuration["metadata"]["annotations"] == {"cert-manager.io/inject-ca-from": f"ns/{name}"}
    [webhook] = configuration["webhooks"]
    service = webhook["clientConfig"]["service"]
    assert "caBundle" not in webhook["clientConfig"]  # cert-manager writes it, and Helm must not take it away
    assert certificate["spec"]["dnsNames"] == [f"{service['name']}.{service['namespace']}.svc"]
    [volume] = [each for each in pod(documents)["spec"]["volumes"] if each["name"] == "webhook-certificate"]
    assert volume["secret"]["secretName"] == certificate["spec"]["secretName"]


@pytest.mark.parametrize("missing", ["webhook__certSecretName", "webhook__caBundle"])
def test_a_webhook_without_a_certificate_is_refused(helm: Path, missing: str) -> None:
    with pytest.raises(CommandFailed, match="a certificate of yours is both"):
        render(helm, **{key: value for key, value in BY_SECRET.items() if key != missing})


def test_a_certificate_of_the_users_is_not_in_the_charts_own_secret(helm: Path) -> None:
    """`helm upgrade` deletes that one when the operators do not make the certificate any more."""
    own = only(render(helm, webhook__enabled="true"), "Secret")["metadata"]["name"]
    with pytest.raises(CommandFailed, match="the chart's own Secret"):
        render(helm, **BY_SECRET | {"webhook__certSecretName": json.dumps(own)})


def test_the_api_server_takes_the_webhook(helm: Path, cluster: Cluster, restricted: str, tmp_path: Path) -> None:
    run_openssl(certificates.authority_command(tmp_path, "/CN=contract"))
    settings = BY_SECRET | {"webhook__caBundle": json.dumps((tmp_path / "ca.crt").read_text())}
    documents = render(helm, **settings)
    parts = [only(documents, "ValidatingWebhookConfiguration"), pod(documents)]
    for part in parts:
        namespace = () if part["kind"].startswith("Validating") else ("-n", restricted)
        printed = cluster.kubectl(
            "create", "--dry-run=server", "--validate=strict", *namespace, "-f", "-", stdin=json.dumps(part)
        )
        assert "created (server dry run)" in printed


class TestMonitoring:
    """What Prometheus and Grafana find, which is nothing unless it was asked for."""

    def test_nothing_by_default(self, helm: Path) -> None:
        kinds = {each["kind"] for each in render(helm)}
        assert not kinds & {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap"}
        assert "--template-metrics" not in str(pod(render(helm)))

    def test_each_dashboard_is_a_config_map_that_the_sidecar_finds(self, helm: Path) -> None:
        maps = [each for each in render(helm, metrics__dashboards__enabled="true") if each["kind"] == "ConfigMap"]
        found = {name: text for each in maps for name, text in each["data"].items()}
        files = {f"fairlead-{path.name}": path.read_text() for path in (CHART / "files" / "dashboards").iterdir()}
        assert len(files) == 4
        assert found == files
        assert all(each["metadata"]["labels"]["grafana_dashboard"] == "1" for each in maps)

    def test_labels_and_folder_of_dashboards_can_be_others(self, helm: Path) -> None:
        settings = {
            "metrics__dashboards__enabled": "true",
            "metrics__dashboards__labels": '{"grafana_dashboard": "yes", "team": "data"}',
            "metrics__dashboards__annotations": '{"grafana_folder": "Fairlead"}',
        }
        metadata = next(each["metadata"] for each in render(helm, **settings) if each["kind"] == "ConfigMap")
        assert (metadata["labels"]["grafana_dashboard"], metadata["labels"]["team"]) == ("yes", "data")
        assert metadata["annotations"] == {"grafana_folder": "Fairlead"}

    def test_the_alerts_are_those_of_the_rule_file(self, helm: Path) -> None:
        rule = only(render(helm, metrics__prometheusRule__enabled="true"), "PrometheusRule")
        assert rule["spec"] == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())

    @pytest.mark.parametrize(
        ("monitor", "job"), [("serviceMonitor", "fairlead-metrics"), ("podMonitor", "ns/fairlead")]
    )
    def test_each_release_misses_its_own_operators(self, helm: Path, monitor: str, job: str) -> None:
        """By the labels that the Prometheus Operator gives to what the release's own monitor finds."""
        plain = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"][0]["rules"]
        settings = {"metrics__prometheusRule__enabled": "true", f"metrics__{monitor}__enabled": "true"}
        bound = only(render(helm, **settings), "PrometheusRule")["spec"]["groups"][0]["rules"]
        changed = {new["alert"]: new["expr"] for old, new in zip(plain, bound, strict=True) if old != new}
        assert changed == {"FairleadDown": f"absent(fairlead_build_info{{namespace='ns',job='{job}'}})"}

    def test_runbooks_can_be_elsewhere(self, helm: Path) -> None:
        url = "https://wiki.example/fairlead"
        settings = {"metrics__prometheusRule__enabled": "true", "metrics__prometheusRule__runbookUrl": f'"{url}"'}
        rules = only(render(helm, **settings), "PrometheusRule")["spec"]["groups"][0]["rules"]
        assert rules
        assert all(each["annotations"]["runbook_url"] == f"{url}#{each['alert'].lower()}" for each in rules)

    @pytest.mark.parametrize("kind", ["serviceMonitor", "podMonitor"])
    def test_the_monitors_select_what_there_is(self, helm: Path, kind: str) -> None:
        documents = render(
            helm, **{f"metrics__{kind}__enabled": "true", f"metrics__{kind}__labels": '{"release": "k"}'}
        )
        monitor = only(documents, kind[0].upper() + kind[1:])
        wanted = monitor["spec"]["selector"]["matchLabels"]
        labels = pod(documents)["metadata"]["labels"]
        assert wanted.items() <= labels.items()
        services = [each for each in documents if each["kind"] == "Service"]
        assert any(wanted.items() <= each["metadata"]["labels"].items() for each in services)
        [endpoint] = monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["port"] in {port["name"] for each in services for port in each["spec"]["ports"]}
        assert endpoint["honorLabels"] is True
        assert monitor["metadata"]["labels"]["release"] == "k"

    def test_both_monitors_at_once_would_count_everything_twice(self, helm: Path) -> None:
        with pytest.raises(AssertionError, match="enable one of them"):
            render(helm, metrics__serviceMonitor__enabled="true", metrics__podMonitor__enabled="true")

    def test_templates_are_counted_on_request(self, helm: Path) -> None:
        arguments = pod(render(helm, metrics__templates="25"))["spec"]["containers"][0]["args"]
        assert "--template-metrics=25" in arguments
