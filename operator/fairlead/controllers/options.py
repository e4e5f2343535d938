"""What an operator can be told at its start: one typed object, filled from the command line or the chart's values."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from fairlead.egress.addresses import Network
from fairlead.engine.history import NO_LIMITS, HistoryLimits
from fairlead.kube.resources import ObjectKey
from fairlead.telemetry.logs import LogFormat

__all__ = [
    "KEPT_LOG_BYTES",
    "CertificateKeeping",
    "HistoryPolicy",
    "LogLevel",
    "NamespaceName",
    "OperatorOptions",
    "RequestsAtOnce",
]

#: How much of a log is kept, unless somebody says otherwise.
KEPT_LOG_BYTES = 1024 * 1024

# The types that are also those of values of the chart, whose schema is generated from them.

#: A label of DNS.
NamespaceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
RequestsAtOnce = Annotated[int, Field(ge=1)]


class LogLevel(StrEnum):
    """From which level on to log."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateKeeping:
    """Where the webhook's certificate is kept by the operators themselves.

    secret
        the Secret, which is there already, and of which they write the data.
    service
        the Service in the same namespace by which the API server asks.
    configuration
        the ValidatingWebhookConfiguration that tells it whom to believe.
    """

    secret: ObjectKey
    service: str
    configuration: str

    @property
    def host(self) -> str:
        """The name that the certificate is for."""
        return f"{self.service}.{self.secret.namespace}.svc"


@dataclass(frozen=True, slots=True)
class HistoryPolicy:
    """How many finished runs each namespace keeps; some namespaces may have limits of their own."""

    default: HistoryLimits = NO_LIMITS
    namespaces: Mapping[str, HistoryLimits] = field(default_factory=dict)

    def of(self, namespace: str) -> HistoryLimits:
        """Return the limits of a namespace: its own, member by member, else the default."""
        own = self.namespaces.get(namespace, NO_LIMITS)
        return HistoryLimits(
            self.default.succeeded if own.succeeded is None else own.succeeded,
            self.default.failed if own.failed is None else own.failed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorOptions:
    """The operator's settings.

    kubeconfig, context
        which cluster to serve, outside of one; None means the pod's own service account, else the default file.
    watch_namespaces
        the namespaces to serve, none twice; empty means all of them, now and later.
    listen, port
        where `/healthz`, `/readyz` and `/metrics` are served; port 0 takes a free one.
    webhook_port, webhook_cert, webhook_key
        where to answer the API server's questions about new definitions, None for nowhere, and the certificate for it:
        without one, it is plain HTTP.
    metrics_port, metrics_cert, metrics_key, metrics_auth
        where to serve the metrics apart from the probes, None for beside them; the certificate for it, and whether only
        those may see them who may `get` the path `/metrics`.
    webhook_keeping
        where to keep a certificate that is made and renewed here, instead of those files.
    log_format, log_level
        how to log, and from which level on.
    max_in_flight
        requests to the API server at once.
    http_allow_private, http_allow_private_in
        private networks that requests of tasks may reach if they ask for it, of all namespaces, and besides of single
        ones; none by default.
    lease_namespace, replica
        where the Leases are by which replicas divide the runs among them, None where there are no others and this
        process acts for all runs; and what this one is called there, before a suffix of its own.
    traces_endpoint
        where to send traces of runs by OTLP over HTTP, None for nowhere.
    history
        how many finished runs are kept.
    archive, keep_logs, kept_log_bytes
        the URL of the store that finished runs are archived in, None for none; whether logs of attempts are kept there,
        too, and how many bytes of each.
    template_metrics
        how many WorkflowTemplates have metrics of their own, by namespace and name; 0 for none.
    strict_x509
        whether certificates must satisfy RFC 5280 to the letter, which some clusters' authorities do not.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    watch_namespaces: tuple[NamespaceName, ...] = ()
    listen: str = "0.0.0.0"
    port: int = 8080
    webhook_port: int | None = None
    webhook_cert: Path | None = None
    webhook_key: Path | None = None
    metrics_port: int | None = None
    metrics_cert: Path | None = None
    metrics_key: Path | None = None
    metrics_auth: bool = False
    webhook_keeping: CertificateKeeping | None = None
    log_format: LogFormat = LogFormat.AUTO
    log_level: LogLevel = LogLevel.INFO
    max_in_flight: RequestsAtOnce = 64
    http_allow_private: tuple[Network, ...] = ()
    http_allow_private_in: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    lease_namespace: str | None = None
    replica: str = field(default_factory=platform.node)
    traces_endpoint: str | None = None
    history: HistoryPolicy = field(default_factory=HistoryPolicy)
    archive: str | None = None
    keep_logs: bool = False
    kept_log_bytes: int = KEPT_LOG_BYTES
    template_metrics: int = 0
    strict_x509: bool = True
