"""`fairlead operator`: the controller itself, in a pod or on a kubeconfig."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["EXAMPLES", "LogLevel", "operator"]

EXAMPLES = (
    "fairlead operator",
    "fairlead operator --kubeconfig ./kubeconfig --port 0 --log-format text",
    "fairlead operator --http-allow-private 10.96.0.0/12",
    "fairlead operator --watch-namespace team-a --watch-namespace team-b",
    "fairlead operator --lease-namespace fairlead",
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
            metavar="CIDR",
            help="A private network that `http` tasks with `allowPrivate: true` may reach, such as 10.0.0.0/8. May be "
            "given several times. Default: none. Metadata servers of clouds are out of reach in any case.",
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
    from fairlead.controllers.options import CertificateKeeping, OperatorOptions
    from fairlead.egress.addresses import parse_network
    from fairlead.kube.resources import ObjectKey
    from fairlead.telemetry.logs import LogFormat

    try:
        networks = tuple(map(parse_network, http_allow_private or ()))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--http-allow-private") from None
    if (webhook_cert is None) is not (webhook_key is None):
        raise typer.BadParameter("goes together with --webhook-key", param_hint="--webhook-cert")
    if webhook_cert is not None and webhook_port is None:
        raise typer.BadParameter("needs --webhook-port", param_hint="--webhook-cert")
    keeping = None
    if webhook_secret is not None or webhook_service is not None or webhook_configuration is not None:
        if not (webhook_secret and webhook_service and webhook_configuration):
            raise typer.BadParameter(
                "goes together with --webhook-service and --webhook-configuration", param_hint="--webhook-secret"
            )
        if webhook_port is None or webhook_cert is not None:
            raise typer.BadParameter("needs --webhook-port, and no --webhook-cert", param_hint="--webhook-secret")
        namespace, _, name = webhook_secret.partition("/")
        if not (namespace and name):
            raise typer.BadParameter("reads NAMESPACE/NAME", param_hint="--webhook-secret")
        keeping = CertificateKeeping(
            secret=ObjectKey(namespace, name), service=webhook_service, configuration=webhook_configuration
        )
    namespaces = tuple(dict.fromkeys(watch_namespace or ()))
    if wrong := [each for each in namespaces if not _NAMESPACE.fullmatch(each)]:
        raise typer.BadParameter(f"{wrong[0]!r} is no name of a namespace", param_hint="--watch-namespace")
    options = OperatorOptions(
        kubeconfig=kubeconfig,
        context=context,
        watch_namespaces=namespaces,
        listen=listen,
        port=port,
        webhook_port=webhook_port,
        webhook_cert=webhook_cert,
        webhook_key=webhook_key,
        webhook_keeping=keeping,
        log_format=LogFormat(log_format.value),
        log_level=settings.LogLevel(log_level.value),
        max_in_flight=max_in_flight,
        http_allow_private=networks,
        lease_namespace=lease_namespace,
        **({} if replica is None else {"replica": replica}),
        strict_x509=strict_x509,
    )
    raise typer.Exit(run(options))
