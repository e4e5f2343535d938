"""The values of the Helm chart as a model: what each may be. Their defaults and descriptions are in values.yaml.

A value that is a setting of the operator has the type of that setting, so that neither allows what the other refuses.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fairlead.controllers.options import LogLevel, NamespaceName, RequestsAtOnce
from fairlead.telemetry.logs import LogFormat

__all__ = ["SETTINGS", "Values"]

#: The settings of the operator that are values, by the name of the setting. The others follow from several values, or
#: make sense outside of a pod only.
SETTINGS = {
    "watch_namespaces": "watchNamespaces",
    "http_allow_private": "http.allowPrivate",
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
#: Written as an address with an optional length; that it is a network, and no host in one, the operator says.
Network = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F.:]+(/[0-9]{1,3})?$")]
Percentage = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,3}%$")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


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

    imageRegistry: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9.:-]*$")]


class Image(_Closed):
    """The operator's image."""

    registry: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9.:-]*$")]
    repository: Annotated[str, StringConstraints(pattern=r"^[a-z0-9._/-]+$")]
    tag: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$")]
    digest: Annotated[str, StringConstraints(pattern=r"^(sha256:[0-9a-f]{64})?$")]
    pullPolicy: PullPolicy


class PullSecret(_Closed):
    """A reference to a Secret."""

    name: Annotated[str, Field(min_length=1)]


class Crds(_Closed):
    """The CustomResourceDefinitions."""

    install: bool
    keep: bool


class Rbac(_Closed):
    """Rights."""

    create: bool
    aggregateClusterRoles: bool
    impersonateServiceAccounts: bool


class Enabled(_Closed):
    """What can be switched off."""

    enabled: bool


class CertManager(Enabled):
    """The certificate by cert-manager."""

    issuerName: Name
    issuerKind: IssuerKind


class Webhook(Enabled):
    """Validation of definitions at admission."""

    certSecretName: Name
    caBundle: Annotated[str, StringConstraints(pattern="^$|-----BEGIN CERTIFICATE-----")]
    certManager: CertManager


class NetworkPolicy(Enabled):
    """Who may talk to whom."""

    metricsFrom: Objects
    apiServerPorts: Annotated[list[Port], Field(min_length=1)]
    extraEgress: Objects


class ServiceAccount(_Closed):
    """Whom the operator acts as."""

    create: bool
    name: Name
    annotations: Strings


class Http(_Closed):
    """Where `http` tasks may go."""

    allowPrivate: list[Network]


class Resources(_Closed):
    """CPU and memory; without requests or limits where one is null."""

    requests: Quantities
    limits: Quantities


class PodDisruptionBudget(Enabled):
    """What a drain has to leave alone."""

    maxUnavailable: Annotated[int, Field(ge=1)] | Percentage


class Values(_Closed):
    """All of them."""

    global_: Annotated[Global, Field(alias="global")]
    image: Image
    replicas: Annotated[int, Field(ge=1, le=16)]
    watchNamespaces: Annotated[list[NamespaceName], Field(json_schema_extra={"uniqueItems": True})]
    imagePullSecrets: list[PullSecret]
    nameOverride: Annotated[str, Field(max_length=63)]
    fullnameOverride: Annotated[str, Field(max_length=63)]
    namespaceOverride: Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$")]
    commonLabels: Strings
    crds: Crds
    releaseOnUninstall: bool
    rbac: Rbac
    admissionPolicy: Enabled
    webhook: Webhook
    networkPolicy: NetworkPolicy
    serviceAccount: ServiceAccount
    http: Http
    maxInFlight: RequestsAtOnce
    strictX509: bool
    logLevel: LogLevel
    logFormat: LogFormat
    resources: Resources
    podDisruptionBudget: PodDisruptionBudget
    topologySpreadConstraints: Objects
    priorityClassName: Name
    podLabels: Strings
    podAnnotations: Strings
    nodeSelector: Strings
    tolerations: Objects
    affinity: dict[str, Any]
    extraEnv: Objects
    extraVolumes: Objects
    extraVolumeMounts: Objects
    extraObjects: list[dict[str, Any] | str]
