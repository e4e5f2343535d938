"""`make demo`: the flights pipeline as real pods on a real Kubernetes, under this checkout's operator.

Expects the dev cluster to be up (the Makefile sees to it). Shows the run live, checks the report's figures against ones
computed another way, and says where the report is and how long each part took. The cluster and the operator stay up.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from e2e import dev_operator
from e2e.devcluster import builds, existing, state
from e2e.devcluster.progress import Failure, say
from e2e.kubectl import Cluster, CommandFailed, wait_until

NAMESPACE = "default"
NAME = "nycflights"
EXAMPLE = Path("examples/nycflights")

#: Seconds for the whole run; the workflow has a deadline of its own below it.
_LIMIT_SECONDS = 2400


class Stopwatch:
    """How long each part took, in the order in which they came."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, float]] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time one part."""
        started = time.monotonic()
        yield
        self.parts.append((name, time.monotonic() - started))


def run(cluster: Cluster, stopwatch: Stopwatch) -> dict[str, Any]:
    """Run the pipeline; return the finished Workflow."""
    with stopwatch.part("image of the tasks"):
        builds.build_image(state.layout(), builds.catalogue()["demo"])
        builds.give_python(state.layout())  # for workflows of one's own, after the demo
    with stopwatch.part("CRDs and operator"):
        cluster.install_crds()
        dev_operator.start()
        wait_until("the operator to be ready", lambda: dev_operator.waiting_for() == "", 60)
    with stopwatch.part("the run"):
        # The same name runs again only as a new object; the volume with the last report stays.
        cluster.kubectl(
            "delete", "workflow", NAME, "-n", NAMESPACE, "--ignore-not-found", "--timeout=120s", timeout=130
        )
        files = ("-f", str(EXAMPLE / "volume.yaml"), "-f", str(EXAMPLE / "workflow.yaml"))
        say("kubectl apply " + " ".join(files))
        cluster.kubectl("apply", "-n", NAMESPACE, "--validate=strict", *files)
        subprocess.run(
            [Path(sys.executable).with_name("fairlead"), "tree", NAME, "-n", NAMESPACE, "--watch"],
            env=cluster.environment,
            check=False,
            timeout=_LIMIT_SECONDS,
        )
        return wait_until("the run to finish", lambda: _finished(cluster), 30)


def _finished(cluster: Cluster) -> dict[str, Any] | None:
    workflow = cluster.get("workflow", NAME, "-n", NAMESPACE)
    return workflow if "completionTime" in workflow.get("status", {}) else None


def task_seconds(workflow: dict[str, Any]) -> list[tuple[str, float]]:
    """Return how long each task took, from its pod's creation to its end, slowest first."""
    times = []
    for task in workflow["status"]["tasks"]:
        if "startTime" in task and "completionTime" in task:
            seconds = datetime.fromisoformat(task["completionTime"]) - datetime.fromisoformat(task["startTime"])
            times.append((task["name"], seconds.total_seconds()))
    return sorted(times, key=lambda item: -item[1])


def main() -> int:
    """Run the demo. Returns 0 only if the run succeeded and its figures are right."""
    if existing.named():
        print("the demo shows its report from the dev cluster's own volume: unset CLUSTER_KUBECONFIG", file=sys.stderr)
        return 2
    stopwatch = Stopwatch()
    try:
        cluster = Cluster.current()
        workflow = run(cluster, stopwatch)
    except (Failure, CommandFailed, TimeoutError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    status = workflow["status"]
    data = (cluster.volumes or Path()) / NAMESPACE / "nycflights-data"
    with stopwatch.part("checking the figures"):
        checked = subprocess.run([sys.executable, EXAMPLE / "verify.py", data], check=False).returncode
    print("\nHow long each part took")
    for name, seconds in stopwatch.parts:
        print(f"  {seconds:7.1f} s  {name}")
    print("The slowest tasks")
    for name, seconds in task_seconds(workflow)[:5]:
        print(f"  {seconds:7.1f} s  {name}")
    if status["phase"] == "Succeeded":
        print(f"\nThe report: {data / 'report' / 'index.html'}")
        print(f"The chart:  {data / 'report' / 'chart.png'}")
    print('\nThe cluster and the operator stay up: eval "$(make -s cluster-env)", then kubectl get flw')
    print("`make cluster-down` ends them")
    print(f"\n{NAME}: {status['phase']}: {status.get('message', '')}")
    return 0 if status["phase"] == "Succeeded" and checked == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
