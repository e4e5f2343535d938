"""`fairlead operator`: the controller itself, in a pod or on a kubeconfig."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fairlead.controllers.options import CertificateKeeping, HistoryPolicy
    from fairlead.egress.addresses import Network

__all__ = ["EXAMPLES", "LogLevel", "operator"]

EXAMPLES = (
    "fairlead operator",
    "fairlead operator --kubeconfig ./kubeconfig --port 0 --log-format text",
    "fairlead operator --http-allow-private 10.96.0.0/12",
    "fairlead operator --watch-namespace team-a --watch-namespace team-b",
    "fairlead operator --lease-namespace fairlead",
    "fairlead operator --archive file:///archive --keep-logs --succeeded-history-limit 100",
    "fairlead operator --webhook-port 9443 --webhook-cert tls.crt --webhook-key tls.key",
)


#: A label of DNS, as names of namespaces are.
_NAMESPACE = re.compile("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class _LogFormat(StrEnum):
    # The values of `telemetry.logs.LogFormat`, which is not imported before it is needed.
    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """The values of `--log-level`."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


def operator(
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            "--kubeconfig",
            metavar="FILE",
            help="Default: the pod's own service account, else $KUBECONFIG or ~/.kube/config.",
        ),
    ] = None,
    context: Annotated[
        str | None, typer.Option("--context", help="A context of the kubeconfig. Default: its current one.")
    ] = None,
    watch_namespace: Annotated[
        list[str] | None,
        typer.Option(
            "--watch-namespace",
            metavar="NAMESPACE",
            help="Serve this namespace, and no others than those named so. May be given several times; rights in "
            "each of them are enough. Default: all of them.",
        ),
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", help="Where probes, metrics and the webhook are served.")
    ] = "0.0.0.0",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port of probes and metrics; 0 takes a free one.")
    ] = 8080,
    webhook_port: Annotated[
        int | None,
        typer.Option(
            "--webhook-port",
            min=0,
            max=65535,
            help="Port of `POST /validate`, which tells the API server what is wrong with a new definition; 0 takes a "
            "free one. Default: not served.",
        ),
    ] = None,
    webhook_cert: Annotated[
        Path | None,
        typer.Option(
            "--webhook-cert",
            metavar="FILE",
            help="Certificate chain of the webhook, PEM; read again when it changes. Without one it is plain HTTP, "
            "which the API server does not speak.",
        ),
    ] = None,
    webhook_key: Annotated[
        Path | None, typer.Option("--webhook-key", metavar="FILE", help="Its private key, PEM.")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port",
            min=0,
            max=65535,
            help="Serve the metrics on this port, and no more beside the probes; 0 takes a free one.",
        ),
    ] = None,
    metrics_cert: Annotated[
        Path | None,
        typer.Option(
            "--metrics-cert", metavar="FILE", help="Certificate chain for it, PEM; read again when it changes."
        ),
    ] = None,
    metrics_key: Annotated[
        Path | None, typer.Option("--metrics-key", metavar="FILE", help="Its private key, PEM.")
    ] = None,
    metrics_auth: Annotated[
        bool,
        typer.Option(
            "--metrics-auth/--no-metrics-auth",
            help="Show the metrics only to those who send a bearer token of the cluster, and may `get` the path "
            "/metrics.",
        ),
    ] = False,
    webhook_secret: Annotated[
        str | None,
        typer.Option(
            "--webhook-secret",
            metavar="NAMESPACE/NAME",
            help="Make the webhook's certificate, renew it in time, and keep it in this Secret, which must be there.",
        ),
    ] = None,
    webhook_service: Annotated[
        str | None,
        typer.Option(
            "--webhook-service",
            metavar="NAME",
            help="The Service in the same namespace by which the API server asks: whom that certificate is for.",
        ),
    ] = None,
    webhook_configuration: Annotated[
        str | None,
        typer.Option(
            "--webhook-configuration",
            metavar="NAME",
            help="The ValidatingWebhookConfiguration in which to tell the API server whom to believe.",
        ),
    ] = None,
    log_format: Annotated[
        _LogFormat, typer.Option("--log-format", help="`auto` is text on a terminal and JSON elsewhere.")
    ] = _LogFormat.AUTO,
    log_level: Annotated[
        LogLevel, typer.Option("--log-level", case_sensitive=False, help="The least level that is logged.")
    ] = LogLevel.INFO,
    max_in_flight: Annotated[
        int, typer.Option("--max-in-flight", min=1, help="Requests to the API server at once.")
    ] = 64,
    http_allow_private: Annotated[
        list[str] | None,
        typer.Option(
            "--http-allow-private",
            metavar="[NAMESPACE=]CIDR",
            help="A private network that `http` tasks with `allowPrivate: true` may reach, such as 10.0.0.0/8; of runs "
            "in one namespace only, as in team-a=10.0.0.0/8. May be given several times. Default: none. Metadata "
            "servers of clouds are out of reach in any case.",
        ),
    ] = None,
    lease_namespace: Annotated[
        str | None,
        typer.Option(
            "--lease-namespace",
            metavar="NAMESPACE",
            help="Divide the runs with other replicas, by Leases in this namespace; all of them need the same one. "
            "Default: this process acts for all runs.",
        ),
    ] = None,
    replica: Annotated[
        str | None,
        typer.Option("--replica", metavar="NAME", help="What this replica is called there. Default: the host's name."),
    ] = None,
    traces_endpoint: Annotated[
        str | None,
        typer.Option(
            "--traces-endpoint",
            metavar="URL",
            help="Send a trace of each run by OTLP over HTTP, such as http://collector:4318/v1/traces. Needs the extra "
            "`fairlead[traces]`; headers, certificates and the like are read from $OTEL_EXPORTER_OTLP_… Default: none.",
        ),
    ] = None,
    succeeded_history_limit: Annotated[
        list[str] | None,
        typer.Option(
            "--succeeded-history-limit",
            metavar="[NAMESPACE=]COUNT",
            help="How many runs that have succeeded each namespace keeps, or that one: the latest. May be given "
            "several times. Templates may have limits of their own. Default: all of them are kept.",
        ),
    ] = None,
    failed_history_limit: Annotated[
        list[str] | None,
        typer.Option(
            "--failed-history-limit",
            metavar="[NAMESPACE=]COUNT",
            help="Likewise of runs that have failed, been cancelled or been refused.",
        ),
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option(
            "--archive",
            metavar="URL",
            envvar="FAIRLEAD_ARCHIVE",
            help="Archive runs that have ended: file:///DIRECTORY on a volume, s3://BUCKET/FOLDER, gs://… or az://…; "
            "credentials come from the environment. No run is deleted before it is there. Default: no archive.",
        ),
    ] = None,
    keep_logs: Annotated[
        bool, typer.Option("--keep-logs", help="Keep the end of the log of each attempt in the archive.")
    ] = False,
    kept_log_bytes: Annotated[
        int, typer.Option("--kept-log-bytes", min=1024, max=64 * 1024 * 1024, help="How much of each log.")
    ] = 1024 * 1024,
    template_metrics: Annotated[
        int,
        typer.Option(
            "--template-metrics",
            min=0,
            metavar="N",
            help="Count the runs of up to N WorkflowTemplates apart, by namespace and name: about 60 series each.",
        ),
    ] = 0,
    strict_x509: Annotated[
        bool,
        typer.Option(
            "--strict-x509/--no-strict-x509",
            help="Whether certificates must keep RFC 5280 to the letter, which those of some clusters do not.",
        ),
    ] = True,
) -> None:
    """Run the operator until SIGTERM or Ctrl-C.

    It watches Workflows and runs them as pods: in a cluster, or from outside with a kubeconfig.

    Exit codes: 0 ended as told, 1 a part of it failed, 2 the command is wrong, 3 no credentials for a cluster.
    """
    from fairlead.controllers import options as settings
    from fairlead.controllers.app import run
    from fairlead.controllers.options import OperatorOptions
    from fairlead.telemetry.logs import LogFormat

    networks = _networks(http_allow_private or ())
    _check_certificate("webhook", webhook_port, webhook_cert, webhook_key)
    _check_certificate("metrics", metrics_port, metrics_cert, metrics_key)
    if metrics_auth and metrics_cert is None:
        raise typer.BadParameter(
            "needs --metrics-cert: a token must not be sent in the clear", param_hint="--metrics-auth"
        )
    keeping = _keeping(webhook_secret, webhook_service, webhook_configuration)
    if keeping is not None and (webhook_port is None or webhook_cert is not None):
        raise typer.BadParameter("needs --webhook-port, and no --webhook-cert", param_hint="--webhook-secret")
    if traces_endpoint is not None and (problem := _traces_problem(traces_endpoint)):
        raise typer.BadParameter(problem, param_hint="--traces-endpoint")
    namespaces = tuple(dict.fromkeys(watch_namespace or ()))
    if wrong := [each for each in namespaces if not _NAMESPACE.fullmatch(each)]:
        raise typer.BadParameter(f"{wrong[0]!r} is no name of a namespace", param_hint="--watch-namespace")
    if keep_logs and archive is None:
        raise typer.BadParameter("needs --archive", param_hint="--keep-logs")
    options = OperatorOptions(
        kubeconfig=kubeconfig,
        context=context,
        watch_namespaces=namespaces,
        listen=listen,
        port=port,
        webhook_port=webhook_port,
        webhook_cert=webhook_cert,
        webhook_key=webhook_key,
        metrics_port=metrics_port,
        metrics_cert=metrics_cert,
        metrics_key=metrics_key,
        metrics_auth=metrics_auth,
        webhook_keeping=keeping,
        log_format=LogFormat(log_format.value),
        log_level=settings.LogLevel(log_level.value),
        max_in_flight=max_in_flight,
        http_allow_private=networks.pop("", ()),
        http_allow_private_in=networks,
        lease_namespace=lease_namespace,
        traces_endpoint=traces_endpoint,
        history=_history(succeeded_history_limit or (), failed_history_limit or ()),
        archive=archive,
        keep_logs=keep_logs,
        kept_log_bytes=kept_log_bytes,
        template_metrics=template_metrics,
        strict_x509=strict_x509,
    )
    if replica is not None:
        options = replace(options, replica=replica)
    raise typer.Exit(run(options))


def _networks(given: Iterable[str]) -> dict[str, tuple[Network, ...]]:
    """Return networks by the namespace that may reach them, "" for all. Raises `typer.BadParameter`."""
    from fairlead.egress.addresses import parse_network

    networks: dict[str, tuple[Network, ...]] = {}
    try:
        for text in given:
            namespace, equals, network = text.rpartition("=")
            if equals and not namespace.strip():
                raise ValueError(f"{text!r} names no namespace before the '='")
            networks[namespace] = (*networks.get(namespace, ()), parse_network(network))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--http-allow-private") from None
    return networks


def _check_certificate(server: str, port: int | None, cert: Path | None, key: Path | None) -> None:
    """Raise `typer.BadParameter` where what is said about the certificate of a server does not fit together."""
    if (cert is None) is not (key is None):
        raise typer.BadParameter(f"goes together with --{server}-key", param_hint=f"--{server}-cert")
    if cert is not None and port is None:
        raise typer.BadParameter(f"needs --{server}-port", param_hint=f"--{server}-cert")


def _keeping(secret: str | None, service: str | None, configuration: str | None) -> CertificateKeeping | None:
    """Return where the operators keep the webhook's certificate, None for nowhere. Raises `typer.BadParameter`."""
    from fairlead.controllers.options import CertificateKeeping
    from fairlead.kube.resources import ObjectKey

    if secret is None and service is None and configuration is None:
        return None
    if not (secret and service and configuration):
        raise typer.BadParameter(
            "goes together with --webhook-service and --webhook-configuration", param_hint="--webhook-secret"
        )
    namespace, _, name = secret.partition("/")
    if not (namespace and name):
        raise typer.BadParameter("reads NAMESPACE/NAME", param_hint="--webhook-secret")
    return CertificateKeeping(secret=ObjectKey(namespace, name), service=service, configuration=configuration)


def _traces_problem(endpoint: str) -> str:
    """Return why traces cannot be sent there, "" if they can."""
    from importlib.util import find_spec
    from urllib.parse import urlsplit

    url = urlsplit(endpoint)
    if url.scheme not in {"http", "https"} or not url.hostname:
        return "must be an http or https URL with a host, such as http://collector:4318/v1/traces"
    return "" if find_spec("opentelemetry") else "needs OpenTelemetry: pip install 'fairlead[traces]'"


def _history(succeeded: Iterable[str], failed: Iterable[str]) -> HistoryPolicy:
    """Return what the history limits say. Raises `typer.BadParameter`."""
    from fairlead.controllers.options import HistoryPolicy
    from fairlead.engine.history import HistoryLimits

    of_succeeded = _limits(succeeded, "--succeeded-history-limit")
    of_failed = _limits(failed, "--failed-history-limit")
    found = {
        namespace: HistoryLimits(of_succeeded.get(namespace), of_failed.get(namespace))
        for namespace in {"", *of_succeeded, *of_failed}
    }
    return HistoryPolicy(found.pop(""), found)


def _limits(given: Iterable[str], option: str) -> dict[str, int]:
    """Return limits by namespace, "" for all others."""
    limits: dict[str, int] = {}
    for each in given:
        namespace, equals, count = each.rpartition("=")
        if not count.isdecimal() or (equals and not namespace):
            raise typer.BadParameter(f"{each!r} is neither COUNT nor NAMESPACE=COUNT", param_hint=option)
        limits[namespace] = int(count)
    return limits
