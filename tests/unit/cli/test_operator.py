"""The operator's options become one object, or an error before anything starts."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fairlead.cli.exits import ExitCode
from fairlead.cli.main import app
from fairlead.controllers import app as controllers
from fairlead.controllers.options import OperatorOptions


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


@pytest.mark.parametrize("network", ["10.0.0.1/8", "internal.example", ""])
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
