"""`make e2e-observe`: dashboards and alerts, held against a real Prometheus that watches a real operator under load.

First promtool checks the rules that ship and plays their unit tests. Then an operator gets work, and nothing may fire;
each panel has an answer, or is among those that have one only while something is wrong. Then one fault follows the
other (`faults.py`): the alerts that it is about fire, and no others. In the end each of those panels has had its
answer, and each alert was seen to fire.

    python -m e2e.observe                   all of it
    python -m e2e.observe --only rights     one group of faults, without any of the rest
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tools.monitoring.alerts import ALERTS
from tools.monitoring.boards import BOARDS

from e2e import dev_operator
from e2e.audit import AuditLog
from e2e.chaos.rights import Account
from e2e.devcluster import binaries
from e2e.kubectl import Cluster, wait_until
from e2e.observe import charts
from e2e.observe.faults import GROUPS, QUOTA_NAMESPACE, Fault, Group, Scene
from e2e.observe.load import NAMESPACE, Load
from e2e.observe.prometheus import PACE, Prometheus, free_port
from e2e.observe.proxy import Proxy
from e2e.observe.webhook import Webhook
from e2e.operators import OperatorProcess
from e2e.workflows import Workflows, fairlead, workflow
from fairlead.telemetry.specs import PROCESS, SPECS

ROOT = Path(__file__).resolve().parents[2]
_DASHBOARDS = ROOT / "charts" / "fairlead" / "files" / "dashboards"

#: How long the rules see the start of everything at once, which they hardly do with the windows that ship; for how long
#: nothing may fire after that, before the first fault; and how long it may take until nothing does after one.
_START_SECONDS = 20.0
_HEALTHY_SECONDS = 45.0
_CLEAR_SECONDS = 90.0

#: Panels without an answer while all is well: no watch has ended that was to be opened again, no replica has died.
QUIET = frozenset({"Watches opened again, a second"})

#: Metrics that need what is not tried here.
UNSEEN: frozenset[str] = frozenset()


def main() -> int:
    """Run all of it. Returns the exit code."""
    arguments = argparse.ArgumentParser(prog="python -m e2e.observe")
    arguments.add_argument("--charts", type=Path, default=ROOT / ".cache" / "observe", help="where charts are written")
    names = [group.name for group in GROUPS]
    arguments.add_argument(
        "--only", action="append", choices=names, help="try these groups of faults, and nothing else"
    )
    given = arguments.parse_args()
    _promtool()
    missing = {alert.name for alert in ALERTS} - {
        name for group in GROUPS for fault in group.faults for name in fault.alerts
    }
    assert not missing, f"no fault is there for {missing}"
    dev_operator.make_way()
    cluster = Cluster.current()
    cluster.install_crds()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fairlead-observe-")))
        stack.enter_context(_namespaces(cluster))
        scene, prometheus = _begin(cluster, folder, stack)
        if given.only:
            _runs(scene).wait_finished("large", 120)
            for group in GROUPS:
                if group.name in given.only:
                    _try(group, scene, prometheus)
            return 0
        began = time.time()
        _healthy(scene, prometheus)
        unanswered = _check_panels(prometheus, began)
        assert unanswered <= QUIET, f"no answer for the panels {sorted(unanswered - QUIET)}"
        spans = [_try(group, scene, prometheus) for group in GROUPS]
        still = _check_panels(prometheus, began)
        assert not still, f"no answer for the panels {sorted(still)}, not even while something was wrong"
        told = prometheus.scraped_metrics()
        silent = {spec.name for spec in SPECS if not told & _samples_of(spec.name)} - UNSEEN
        assert not silent, f"never told: {sorted(silent)}"
        assert told >= PROCESS, sorted(PROCESS - told)
        assert not prometheus.rule_problems(), prometheus.rule_problems()
        ended = time.time()
        for board in BOARDS:
            written = charts.draw(
                board, lambda expr: prometheus.ask(_filled(expr), began, ended), began, spans, given.charts
            )
            print(f"wrote {written}", flush=True)
        print(f"all {len(ALERTS)} alerts fired for their faults and for nothing else, in {ended - began:.0f} s")
    return 0


def _promtool() -> None:
    program = binaries.ensure(["promtool"])["promtool"]
    rules = ROOT / "charts" / "fairlead" / "files" / "alerts.yaml"
    subprocess.run([program, "check", "rules", "--lint=all", "--lint-fatal", rules], check=True, timeout=60)
    tests = sorted((ROOT / "tests" / "alerts").glob("*.yaml"))
    assert tests, "the unit tests of the alerts are gone"
    subprocess.run([program, "test", "rules", *tests], check=True, timeout=120)


@contextmanager
def _namespaces(cluster: Cluster) -> Iterator[None]:
    _remove_namespaces(cluster)
    for name in (NAMESPACE, QUOTA_NAMESPACE):
        cluster.kubectl("create", "namespace", name)
    cluster.kubectl("create", "quota", "nothing", "--hard=pods=0", "-n", QUOTA_NAMESPACE)
    for name in (NAMESPACE, QUOTA_NAMESPACE):
        wait_until("the service account", lambda name=name: _has_account(cluster, name), 30)  # type: ignore[misc]
    yield
    _remove_namespaces(cluster)


def _has_account(cluster: Cluster, namespace: str) -> bool:
    return bool(cluster.kubectl("get", "serviceaccount", "default", "-n", namespace, "--ignore-not-found"))


def _remove_namespaces(cluster: Cluster) -> None:
    arguments = ("delete", "namespace", NAMESPACE, QUOTA_NAMESPACE, "--ignore-not-found", "--timeout=90s")
    cluster.kubectl(*arguments, timeout=100)


def _begin(cluster: Cluster, folder: Path, stack: ExitStack) -> tuple[Scene, Prometheus]:
    """Start everything: what is ended last is started first, so that the operator sees the namespaces go."""
    account = stack.enter_context(Account(cluster, "fairlead-observe"))
    host, port = _server(cluster)
    proxy = stack.enter_context(Proxy(host, port))
    seen = account.cluster(folder)
    config = json.loads(seen.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{proxy.port}"
    seen.kubeconfig.write_text(json.dumps(config))
    metrics_port, archive, webhook = free_port(), folder / "archive", Webhook(free_port(), folder)
    archive.mkdir()
    webhook.certify(days=90)

    def start(*options: str) -> OperatorProcess:
        process = OperatorProcess(
            seen,
            folder / "operator.log",
            program=("-m", "e2e.observe.faulty_operator"),
            options=(
                *("--port", str(metrics_port), "--template-metrics", "10", "--archive", archive.as_uri()),
                *webhook.options,
                *options,
            ),
        )
        process.start()
        return process

    operator = start()
    stack.callback(lambda: _end(scene, cluster))
    load = Load(cluster)
    scene = Scene(cluster, account, proxy, load, operator, webhook, archive, start)
    operator.wait_ready()
    prometheus = stack.enter_context(Prometheus(folder, f"127.0.0.1:{metrics_port}"))
    stack.enter_context(load)
    return scene, prometheus


def _end(scene: Scene, cluster: Cluster) -> None:
    """Remove the runs while there is somebody to let go of their pods, then end the operator."""
    scene.proxy.reopen()
    scene.account.restore()
    if not scene.operator.alive:
        scene.operator = scene.start()
    _remove_namespaces(cluster)
    scene.operator.stop()


def _server(cluster: Cluster) -> tuple[str, int]:
    url = cluster.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
    host, _, port = url.removeprefix("https://").partition(":")
    return host, int(port)


# -- while all is well


def _healthy(scene: Scene, prometheus: Prometheus) -> None:
    """Let it work, and ask for what is asked for by hand; nothing fires."""
    began = time.time()
    fine = workflow("fine", {"a": {"wait": {"seconds": 1}}})
    scene.webhook.ask(fine)
    runs = _runs(scene)
    wait_until("a task to run", lambda: runs.task("is-stopped", "a")["phase"] == "Running", 60)
    code, said = fairlead(runs, "stop", "is-stopped", "--mode", "Cancel")
    assert code == 0, said
    runs.wait_finished("large", 120)
    scene.webhook.ask(fine)  # a second time: a rate is how much more there is than before
    judged = began + _START_SECONDS
    time.sleep(max(0.0, judged + _HEALTHY_SECONDS - time.time()))
    fired = prometheus.fired_since(judged)
    assert not fired, f"all was well, and {sorted(fired)} fired:\n{prometheus.evidence(fired, judged)}"
    print(f"{time.time() - judged:4.0f} s of work: no alert fired", flush=True)


def _runs(scene: Scene) -> Workflows:
    assert scene.cluster.audit_log is not None, "the audit log is that of the dev cluster"
    return Workflows(scene.cluster, NAMESPACE, AuditLog.from_now(scene.cluster.audit_log))


def _check_panels(prometheus: Prometheus, began: float) -> set[str]:
    """Ask each panel of each dashboard that ships, and each list of choices. Returns which have no answer."""
    now, unanswered = time.time(), set()
    for path in sorted(_DASHBOARDS.glob("*.json")):
        board = json.loads(path.read_text())
        asked = 0
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                asked += 1
                if not prometheus.ask(_filled(target["expr"]), began, now):
                    unanswered.add(panel["title"])
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
                assert match, variable["query"]
                assert prometheus.values_of(match[2], _filled(match[1])), (
                    f"{path.name}: nothing to choose from: {variable['name']}"
                )
        print(f"{path.name}: {asked} expressions asked", flush=True)
    return unanswered


def _filled(expr: str) -> str:
    """Return an expression as Grafana sends it, with everything chosen."""
    filled = expr.replace("$__rate_interval", PACE.window)
    return re.sub(r"\$(job|namespace|template)\b", ".*", filled)


def _samples_of(name: str) -> set[str]:
    """Return what a metric may be called in Prometheus: a histogram is three."""
    return {name, f"{name}_count"}


# -- one fault after the other


def _try(group: Group, scene: Scene, prometheus: Prometheus) -> charts.Span:
    began = time.time()
    so_far: frozenset[str] = frozenset()
    for fault in group.faults:
        so_far |= fault.alerts | fault.consequences
        _try_fault(fault, so_far, scene, prometheus)
    lifted = time.time()
    group.lift(scene)
    wait_until(f"nothing to fire after {group.name!r}", lambda: not prometheus.firing(), _CLEAR_SECONDS)
    strange = prometheus.fired_since(began) - so_far
    assert not strange, f"{group.name}: {sorted(strange)} fired:\n{prometheus.evidence(strange, began)}"
    print(f"{'':4}   lifted, and silent after {time.time() - lifted:.0f} s", flush=True)
    return began, lifted, group.name


def _try_fault(fault: Fault, allowed: frozenset[str], scene: Scene, prometheus: Prometheus) -> None:
    began = time.time()
    fault.inject(scene)

    def fires() -> bool:
        firing = prometheus.firing()
        strange = firing - allowed
        assert not strange, f"{fault.name}: {sorted(strange)} fire:\n{prometheus.evidence(strange, began)}"
        return fault.alerts <= firing

    while not fires():
        waited = time.time() - began
        assert waited < fault.seconds, (
            f"{fault.name}: {sorted(fault.alerts - prometheus.firing())} did not fire within {waited:.0f} s"
        )
        if fault.again is not None:
            fault.again(scene)
        time.sleep(1.0)
    names = ", ".join(sorted(name.removeprefix("Fairlead") for name in fault.alerts))
    print(f"{time.time() - began:4.0f} s {fault.name}: {names}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
