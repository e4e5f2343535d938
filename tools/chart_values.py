"""The values of the Helm chart as a model: what each may be. Their defaults and descriptions are in values.yaml.

A value that is a setting of the operator has the type of that setting, so that neither allows what the other refuses.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from fairlead.controllers.options import LogLevel, NamespaceName, RequestsAtOnce
from fairlead.telemetry.logs import LogFormat

__all__ = ["SETTINGS", "Values"]

#: The settings of the operator that are values, by the name of the setting. The others follow from several values, or
#: make sense outside of a pod only.
SETTINGS = {
    "watch_namespaces": "watchNamespaces",
    "http_allow_private": "http.allowPrivate",
    "template_metrics": "metrics.templates",
    "max_in_flight": "maxInFlight",
    "strict_x509": "strictX509",
    "log_level": "logLevel",
    "log_format": "logFormat",
}

Strings = dict[str, str]
Objects = list[dict[str, Any]]
#: An object's name where it may be left to the chart.
Name = Annotated[str, Field(max_length=253)]
Quantities = dict[str, str | float]
Port = Annotated[int, Field(ge=1, le=65535)]
#: Written as an address with an optional length, after `namespace=` where only that namespace may reach it; that it is
#: a network, and no host in one, the operator says.
Network = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?=)?[0-9a-fA-F.:]+(/[0-9]{1,3})?$")]
Percentage = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,3}%$")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class PullPolicy(StrEnum):
    """When the kubelet pulls an image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class IssuerKind(StrEnum):
    """Kinds of cert-manager's issuers."""

    ISSUER = "Issuer"
    CLUSTER_ISSUER = "ClusterIssuer"


class Global(BaseModel):
    """Values that Helm hands to every subchart: others may be there, too, and are not ours."""

    model_config = ConfigDict(alias_generator=to_camel)

    image_registry: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9.:-]*$")]


class Image(_Closed):
    """The operator's image."""

    registry: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9.:-]*$")]
    repository: Annotated[str, StringConstraints(pattern=r"^[a-z0-9._/-]+$")]
    tag: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$")]
    digest: Annotated[str, StringConstraints(pattern=r"^(sha256:[0-9a-f]{64})?$")]
    pull_policy: PullPolicy


class PullSecret(_Closed):
    """A reference to a Secret."""

    name: Annotated[str, Field(min_length=1)]


class Crds(_Closed):
    """The CustomResourceDefinitions."""

    install: bool
    keep: bool
    annotations: Strings


class Rbac(_Closed):
    """Rights."""

    create: bool
    aggregate_cluster_roles: bool
    impersonate_service_accounts: bool


class Enabled(_Closed):
    """What can be switched off."""

    enabled: bool


class AdmissionPolicy(Enabled):
    """What the API server checks by policies."""

    rights: bool
    other_operators: list[Annotated[str, Field(pattern=r"^system:serviceaccount:[a-z0-9-]+:[a-z0-9.-]+$")]]


class PodPolicy(_Closed):
    """What pods of runs may be."""

    images: list[Annotated[str, Field(min_length=1, max_length=255)]]
    host_access: bool


class Labelled(Enabled):
    """What is found by its labels."""

    labels: Strings


class Monitor(Labelled):
    """Where a Prometheus of the Prometheus Operator finds the metrics."""

    interval: Annotated[str, StringConstraints(pattern=r"^([0-9]+(ms|s|m|h))+$")]


class PrometheusRule(Labelled):
    """The alerts."""

    runbook_url: Annotated[str, StringConstraints(pattern="^$|^https?://")]


class Dashboards(Labelled):
    """The dashboards."""

    annotations: Strings


class Metrics(_Closed):
    """How the metrics are served, and who is told of them."""

    secure: bool
    cert_secret_name: Name
    templates: Annotated[int, Field(ge=0, le=10_000)]
    service_monitor: Monitor
    pod_monitor: Monitor
    prometheus_rule: PrometheusRule
    dashboards: Dashboards


class Traces(_Closed):
    """Where traces go."""

    endpoint: Annotated[str, StringConstraints(pattern="^$|^https?://")]


class CertManager(Enabled):
    """The certificate by cert-manager."""

    issuer_name: Name
    issuer_kind: IssuerKind


class Webhook(Enabled):
    """Validation of definitions at admission."""

    cert_secret_name: Name
    ca_bundle: Annotated[str, StringConstraints(pattern="^$|-----BEGIN CERTIFICATE-----")]
    cert_manager: CertManager


class NetworkPolicy(Enabled):
    """Who may talk to whom."""

    metrics_from: Objects
    api_server_ports: Annotated[list[Port], Field(min_length=1)]
    archive_ports: list[Port]
    extra_egress: Objects


class ServiceAccount(_Closed):
    """Whom the operator acts as."""

    create: bool
    name: Name
    annotations: Strings


class Http(_Closed):
    """Where `http` tasks may go."""

    allow_private: list[Network]


#: `COUNT`, or `NAMESPACE=COUNT`. The first is a number where `--set` reads it.
Limit = (
    Annotated[int, Field(ge=0)]
    | Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?=)?[0-9]+$")]
)


class HistoryLimits(_Closed):
    """How many finished runs are kept."""

    succeeded: list[Limit]
    failed: list[Limit]


class Archive(_Closed):
    """Where finished runs go."""

    url: Annotated[str, StringConstraints(pattern=r"^((s3|gs|az)://[^@?]+)?$")]
    volume_claim: Name
    credentials_secret: Name
    keep_logs: bool
    kept_log_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)]


class Resources(_Closed):
    """CPU and memory; without requests or limits where one is null."""

    requests: Quantities
    limits: Quantities


class PodDisruptionBudget(Enabled):
    """What a drain has to leave alone."""

    max_unavailable: Annotated[int, Field(ge=1)] | Percentage


class Values(_Closed):
    """All of them."""

    global_: Annotated[Global, Field(alias="global")]
    image: Image
    replicas: Annotated[int, Field(ge=1, le=16)]
    watch_namespaces: Annotated[list[NamespaceName], Field(json_schema_extra={"uniqueItems": True})]
    image_pull_secrets: list[PullSecret]
    name_override: Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$")]
    fullname_override: Annotated[str, StringConstraints(pattern=r"^([a-z]([a-z0-9-]{0,53}[a-z0-9])?)?$")]
    namespace_override: Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$")]
    common_labels: Strings
    crds: Crds
    release_on_uninstall: bool
    rbac: Rbac
    admission_policy: AdmissionPolicy
    pod_policy: PodPolicy
    webhook: Webhook
    network_policy: NetworkPolicy
    metrics: Metrics
    service_account: ServiceAccount
    http: Http
    traces: Traces
    history_limits: HistoryLimits
    archive: Archive
    max_in_flight: RequestsAtOnce
    strict_x509: bool
    log_level: LogLevel
    log_format: LogFormat
    resources: Resources
    pod_disruption_budget: PodDisruptionBudget
    topology_spread_constraints: Objects
    priority_class_name: Name
    pod_labels: Strings
    pod_annotations: Strings
    node_selector: Strings
    tolerations: Objects
    affinity: dict[str, Any]
    extra_env: Objects
    extra_volumes: Objects
    extra_volume_mounts: Objects
    extra_objects: list[dict[str, Any] | str]
