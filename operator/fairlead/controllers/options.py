"""What an operator can be told at its start: one typed object, filled from the command line or the chart's values."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from pathlib import Path

from fairlead.egress.addresses import Network
from fairlead.telemetry.logs import LogFormat

__all__ = ["OperatorOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorOptions:
    """The operator's settings.

    kubeconfig, context
        which cluster to serve, outside of one; None means the pod's own service account, else the default file.
    listen, port
        where `/healthz`, `/readyz` and `/metrics` are served; port 0 takes a free one.
    webhook_port, webhook_cert, webhook_key
        where to answer the API server's questions about new definitions, None for nowhere, and the certificate for it:
        without one, it is plain HTTP.
    log_format, log_level
        how to log, and from which level on.
    max_in_flight
        requests to the API server at once.
    http_allow_private
        private networks that requests of tasks may reach if they ask for it; none by default.
    lease_namespace, replica
        where the Leases are by which replicas divide the runs among them, None where there are no others and this
        process acts for all runs; and what this one is called there, before a suffix of its own.
    template_metrics
        how many WorkflowTemplates have metrics of their own, by namespace and name; 0 for none.
    strict_x509
        whether certificates must satisfy RFC 5280 to the letter, which some clusters' authorities do not.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    listen: str = "0.0.0.0"
    port: int = 8080
    webhook_port: int | None = None
    webhook_cert: Path | None = None
    webhook_key: Path | None = None
    log_format: LogFormat = LogFormat.AUTO
    log_level: str = "INFO"
    max_in_flight: int = 64
    http_allow_private: tuple[Network, ...] = ()
    lease_namespace: str | None = None
    replica: str = field(default_factory=platform.node)
    template_metrics: int = 0
    strict_x509: bool = True
