"""A real Prometheus beside the operator, with the rules that ship, and what it answers."""

from __future__ import annotations

import json
import math
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml
from tools.monitoring.alerts import Pace, rules

from e2e.devcluster import binaries
from e2e.kubectl import wait_until

__all__ = ["PACE", "Prometheus", "Series", "free_port"]

#: The rules that ship look back minutes and hold for minutes. Here all of them do so for seconds; nothing else differs.
PACE = Pace(window="15s", hold="6s")


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer: its labels, and its values (which are numbers) by time."""

    labels: dict[str, str]
    points: list[tuple[float, float]]


@dataclass(slots=True)
class Prometheus:
    """One Prometheus, which reads the metrics of one address every second, until the end of the block.

    `fired` are the alerts that have been seen to fire, with the time of each sight.
    """

    folder: Path
    target: str
    port: int = 0
    fired: list[tuple[float, frozenset[str]]] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None
    _closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        """Start it, and wait until it answers."""
        program = binaries.ensure(["prometheus"])["prometheus"]
        self.port = free_port()
        (self.folder / "alerts.yaml").write_text(yaml.safe_dump(rules(PACE), sort_keys=False))
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump(self._config()))
        with (self.folder / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self.folder / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={self.folder / 'prometheus'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--log.level=warn",
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until("Prometheus to be ready", self._is_ready, 30)
        threading.Thread(target=self._look_for_alerts, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.set()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(timeout=10)

    def firing(self) -> frozenset[str]:
        """Return the names of the alerts that fire now."""
        found = self._get("alerts")["alerts"]
        return frozenset(each["labels"]["alertname"] for each in found if each["state"] == "firing")

    def fired_since(self, moment: float) -> frozenset[str]:
        """Return the names of the alerts that have fired at any time since then."""
        return frozenset[str]().union(*(names for seen, names in self.fired if seen >= moment))

    def ask(self, expr: str, begin: float, end: float, step: float = 1.0) -> list[Series]:
        """Return the answer over a span of time; what is not a number is left out."""
        found = self._get("query_range", query=expr, start=f"{begin:.3f}", end=f"{end:.3f}", step=f"{step}")["result"]
        series = (
            Series(each["metric"], [(at, float(value)) for at, value in each["values"] if math.isfinite(float(value))])
            for each in found
        )
        return [each for each in series if each.points]

    def evidence(self, names: Iterable[str], begin: float) -> str:
        """Return what alerts found since then: their series, with the largest value and the time of the first."""
        lines = []
        for rule in rules(PACE)["groups"][0]["rules"]:
            if rule["alert"] in names:
                for each in self.ask(rule["expr"], begin, time.time()):
                    largest, first = max(value for _, value in each.points), each.points[0][0] - begin
                    count = len(each.points)
                    lines.append(
                        f"{rule['alert']} {each.labels}: up to {largest:g}, {count} times from {first:.0f} s on"
                    )
        return "\n".join(lines)

    def values_of(self, label: str, match: str) -> list[str]:
        """Return the values that a label has in the series that match."""
        found: list[str] = self._get(f"label/{label}/values", **{"match[]": match})
        return found

    def scraped_metrics(self) -> set[str]:
        """Return the names of all metrics that the operator has told."""
        return set(self.values_of("__name__", '{job="fairlead"}'))

    def rule_problems(self) -> list[str]:
        """Return which rules could not be evaluated, and why."""
        groups = self._get("rules")["groups"]
        return [
            f"{each['name']}: {each['lastError']}"
            for group in groups
            for each in group["rules"]
            if each["health"] == "err"
        ]

    def _config(self) -> dict[str, Any]:
        return {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(self.folder / "alerts.yaml")],
            "scrape_configs": [
                {
                    "job_name": "fairlead",
                    "honor_labels": True,
                    "static_configs": [{"targets": [self.target], "labels": {"namespace": "fairlead"}}],
                }
            ],
        }

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"Prometheus ended:\n{(self.folder / 'prometheus.log').read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _look_for_alerts(self) -> None:
        while not self._closing.wait(0.5):
            try:
                self.fired.append((time.time(), self.firing()))
            except OSError:
                continue

    def _get(self, path: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
