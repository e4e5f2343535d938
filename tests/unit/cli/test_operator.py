"""The operator's options become one object, or an error before anything starts."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fairlead.cli import operator as command_line
from fairlead.cli.exits import ExitCode
from fairlead.cli.main import app
from fairlead.controllers import app as controllers
from fairlead.controllers.options import LogLevel, OperatorOptions


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[OperatorOptions]:
    found: list[OperatorOptions] = []
    monkeypatch.setattr(controllers, "run", lambda options: found.append(options) or 0)
    return found


def test_nothing_private_may_be_reached_by_default(started: list[OperatorOptions]) -> None:
    assert CliRunner().invoke(app, ["operator"]).exit_code == ExitCode.OK
    assert started[0].http_allow_private == ()


def test_private_networks(started: list[OperatorOptions]) -> None:
    arguments = ["--http-allow-private", "10.96.0.0/12", "--http-allow-private", "fd12::1"]
    assert CliRunner().invoke(app, ["operator", *arguments]).exit_code == ExitCode.OK
    assert started[0].http_allow_private == (ip_network("10.96.0.0/12"), ip_network("fd12::1/128"))


def test_private_networks_of_some_namespaces(started: list[OperatorOptions]) -> None:
    arguments = ["a=10.0.0.0/8", "b=fd12::1", "a=192.168.1.0/24", "172.16.0.0/12"]
    options = [part for each in arguments for part in ("--http-allow-private", each)]
    assert CliRunner().invoke(app, ["operator", *options]).exit_code == ExitCode.OK
    assert started[0].http_allow_private == (ip_network("172.16.0.0/12"),)
    assert started[0].http_allow_private_in == {
        "a": (ip_network("10.0.0.0/8"), ip_network("192.168.1.0/24")),
        "b": (ip_network("fd12::1/128"),),
    }


@pytest.mark.parametrize("network", ["10.0.0.1/8", "internal.example", "", "=10.0.0.0/8", "a="])
def test_what_is_no_network(started: list[OperatorOptions], network: str) -> None:
    result = CliRunner().invoke(app, ["operator", "--http-allow-private", network])
    assert (result.exit_code, started) == (ExitCode.USAGE, [])
    assert "--http-allow-private" in result.output


def test_the_webhook_is_off_unless_it_has_a_port(started: list[OperatorOptions]) -> None:
    assert CliRunner().invoke(app, ["operator"]).exit_code == ExitCode.OK
    assert started[0].webhook_port is None


def test_a_webhook_with_its_certificate(started: list[OperatorOptions]) -> None:
    arguments = ["--webhook-port", "9443", "--webhook-cert", "tls.crt", "--webhook-key", "tls.key"]
    assert CliRunner().invoke(app, ["operator", *arguments]).exit_code == ExitCode.OK
    found = started[0]
    assert (found.webhook_port, found.webhook_cert, found.webhook_key) == (9443, Path("tls.crt"), Path("tls.key"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--webhook-port", "1", "--webhook-cert", "tls.crt"], "--webhook-key"),
        (["--webhook-port", "1", "--webhook-key", "tls.key"], "--webhook-cert"),
        (["--webhook-cert", "tls.crt", "--webhook-key", "tls.key"], "--webhook-port"),
    ],
)
def test_parts_of_a_webhook(started: list[OperatorOptions], arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["operator", *arguments])
    assert (result.exit_code, started) == (ExitCode.USAGE, [])
    assert words in result.output


def test_traces_are_off_unless_there_is_somewhere_to_send_them(started: list[OperatorOptions]) -> None:
    assert CliRunner().invoke(app, ["operator"]).exit_code == ExitCode.OK
    assert CliRunner().invoke(app, ["operator", "--traces-endpoint", "http://a:4318/v1/traces"]).exit_code == 0
    assert [each.traces_endpoint for each in started] == [None, "http://a:4318/v1/traces"]


@pytest.mark.parametrize("endpoint", ["a:4318", "grpc://a:4317", "http://", ""])
def test_what_is_no_endpoint(started: list[OperatorOptions], endpoint: str) -> None:
    result = CliRunner().invoke(app, ["operator", "--traces-endpoint", endpoint])
    assert (result.exit_code, started) == (ExitCode.USAGE, [])


def test_traces_need_their_extra(started: list[OperatorOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = CliRunner().invoke(app, ["operator", "--traces-endpoint", "http://a:4318/v1/traces"])
    assert (result.exit_code, started) == (ExitCode.USAGE, [])
    assert "fairlead[traces]" in result.output


def test_metrics_apart(started: list[OperatorOptions]) -> None:
    arguments = ["--metrics-port", "8443", "--metrics-cert", "tls.crt", "--metrics-key", "tls.key", "--metrics-auth"]
    assert CliRunner().invoke(app, ["operator", *arguments]).exit_code == ExitCode.OK
    found = started[0]
    assert (found.metrics_port, found.metrics_cert, found.metrics_key) == (8443, Path("tls.crt"), Path("tls.key"))
    assert found.metrics_auth


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--metrics-port", "1", "--metrics-cert", "tls.crt"], "--metrics-key"),
        (["--metrics-cert", "tls.crt", "--metrics-key", "tls.key"], "--metrics-port"),
        (["--metrics-port", "1", "--metrics-auth"], "in the clear"),
    ],
)
def test_parts_of_metrics_apart(started: list[OperatorOptions], arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["operator", *arguments])
    assert (result.exit_code, started) == (ExitCode.USAGE, [])
    assert words in " ".join(result.output.split())


def test_all_namespaces_unless_some_are_named(started: list[OperatorOptions]) -> None:
    assert CliRunner().invoke(app, ["operator"]).exit_code == ExitCode.OK
    arguments = ["operator", "--watch-namespace", "b", "--watch-namespace", "a", "--watch-namespace", "b"]
    assert CliRunner().invoke(app, arguments).exit_code == ExitCode.OK
    assert [options.watch_namespaces for options in started] == [(), ("b", "a")]


@pytest.mark.parametrize("name", ["team-*", "", "Team", "a.b", "x" * 64])
def test_what_is_no_namespace(started: list[OperatorOptions], name: str) -> None:
    result = CliRunner().invoke(app, ["operator", "--watch-namespace", name])
    assert (result.exit_code, started) == (ExitCode.USAGE, [])
    assert "--watch-namespace" in result.output


KEPT = ("--webhook-secret", "ns/tls", "--webhook-service", "hook", "--webhook-configuration", "conf")


def test_a_certificate_that_the_operators_keep(started: list[OperatorOptions]) -> None:
    assert CliRunner().invoke(app, ["operator", "--webhook-port", "1", *KEPT]).exit_code == ExitCode.OK
    keeping = started[0].webhook_keeping
    assert keeping is not None
    assert (keeping.secret, keeping.configuration, keeping.host) == (("ns", "tls"), "conf", "hook.ns.svc")


@pytest.mark.parametrize(
    "arguments",
    [
        KEPT,
        ("--webhook-port", "1", *KEPT[:4]),
        ("--webhook-port", "1", *KEPT[2:]),
        ("--webhook-port", "1", "--webhook-cert", "c", "--webhook-key", "k", *KEPT),
        ("--webhook-port", "1", "--webhook-secret", "tls", *KEPT[2:]),
    ],
    ids=["no port", "no configuration", "no secret", "two certificates", "no namespace"],
)
def test_parts_of_such_a_certificate(started: list[OperatorOptions], arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, ["operator", *arguments])
    assert (result.exit_code, started) == (ExitCode.USAGE, [])
    assert "--webhook-secret" in result.output


def test_the_levels_are_those_of_the_settings() -> None:
    assert {each.value for each in command_line.LogLevel} == {each.value for each in LogLevel}


class TestHistoryAndArchive:
    @pytest.fixture
    def options(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Run the command with some arguments; return the options that the operator would get."""
        monkeypatch.delenv("FAIRLEAD_ARCHIVE", raising=False)
        seen: list[OperatorOptions] = []
        monkeypatch.setattr(controllers, "run", lambda options: seen.append(options) or 0)

        def invoke(*arguments: str) -> OperatorOptions | str:
            result = CliRunner().invoke(app, ["operator", *arguments])
            return seen[0] if seen else result.output

        return invoke

    def test_limits_are_of_all_namespaces_or_of_one(self, options: Any) -> None:
        found = options(
            *("--succeeded-history-limit", "100", "--succeeded-history-limit", "data=5"),
            *("--failed-history-limit", "web=0"),
        ).history
        assert (found.of("other").succeeded, found.of("other").failed) == (100, None)
        assert (found.of("data").succeeded, found.of("data").failed) == (5, None)
        assert (found.of("web").succeeded, found.of("web").failed) == (100, 0)

    @pytest.mark.parametrize("wrong", ["many", "data=", "=5", "-1", "data=x"])
    def test_what_is_no_limit_is_refused(self, options: Any, wrong: str) -> None:
        assert "neither COUNT nor NAMESPACE=COUNT" in " ".join(options(f"--failed-history-limit={wrong}").split())

    def test_without_any_nothing_is_limited_archived_or_kept(self, options: Any) -> None:
        found = options()
        assert not found.history.of("data").any
        assert (found.archive, found.keep_logs) == (None, False)

    def test_logs_need_an_archive(self, options: Any) -> None:
        assert "needs --archive" in options("--keep-logs")
        assert options("--keep-logs", "--archive", "file:///archive").keep_logs

    def test_the_environment_may_name_the_archive(self, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FAIRLEAD_ARCHIVE", "s3://bucket/x")
        assert options().archive == "s3://bucket/x"
