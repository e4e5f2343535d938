"""`fairlead operator`: the controller itself, in a pod or on a kubeconfig."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fairlead.controllers.options import HistoryPolicy

__all__ = ["EXAMPLES", "LogLevel", "operator"]

EXAMPLES = (
    "fairlead operator",
    "fairlead operator --kubeconfig ./kubeconfig --port 0 --log-format text",
    "fairlead operator --http-allow-private 10.96.0.0/12",
    "fairlead operator --lease-namespace fairlead",
    "fairlead operator --archive file:///archive --keep-logs --succeeded-history-limit 100",
    "fairlead operator --webhook-port 9443 --webhook-cert tls.crt --webhook-key tls.key",
)


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
    from fairlead.controllers.app import run
    from fairlead.controllers.options import OperatorOptions
    from fairlead.egress.addresses import parse_network
    from fairlead.telemetry.logs import LogFormat

    try:
        networks = tuple(map(parse_network, http_allow_private or ()))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--http-allow-private") from None
    if (webhook_cert is None) is not (webhook_key is None):
        raise typer.BadParameter("goes together with --webhook-key", param_hint="--webhook-cert")
    if webhook_cert is not None and webhook_port is None:
        raise typer.BadParameter("needs --webhook-port", param_hint="--webhook-cert")
    if keep_logs and archive is None:
        raise typer.BadParameter("needs --archive", param_hint="--keep-logs")
    options = OperatorOptions(
        kubeconfig=kubeconfig,
        context=context,
        listen=listen,
        port=port,
        webhook_port=webhook_port,
        webhook_cert=webhook_cert,
        webhook_key=webhook_key,
        log_format=LogFormat(log_format.value),
        log_level=log_level.value,
        max_in_flight=max_in_flight,
        http_allow_private=networks,
        lease_namespace=lease_namespace,
        history=_history(succeeded_history_limit or (), failed_history_limit or ()),
        archive=archive,
        keep_logs=keep_logs,
        kept_log_bytes=kept_log_bytes,
        strict_x509=strict_x509,
    )
    if replica is not None:
        options = replace(options, replica=replica)
    raise typer.Exit(run(options))


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
