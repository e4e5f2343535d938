"""`make chaos`: faults on the real control plane, in mid-run; each attempt's pod is created once, and none is lost.

Read from the API server's audit log. Exits 1 if a run does not end as it has to, or anything is left of it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from e2e import dev_operator
from e2e.chaos import object_faults, operator_faults, plane_faults, record_faults
from e2e.chaos.machine import Machine
from e2e.chaos.scene import Scene, say
from e2e.chaos.schedule import random_of
from e2e.chaos.table import Row, table, verdict
from e2e.chaos.trial import Trial, wait_gone
from e2e.devcluster.progress import Failure
from e2e.kubectl import Cluster

SEED = 20_131_105

#: The operators' logs, kept until the next run of the same fault.
LOGS = Path(".cache/chaos")

FAULTS: dict[str, Callable[[Trial], None]] = {
    "killed": operator_faults.killed,
    "two-operators": operator_faults.two_operators,
    "rights-revoked": operator_faults.rights_revoked,
    "apiserver-restarts": plane_faults.apiserver_restarts,
    "etcd-paused": plane_faults.etcd_paused,
    "node-lost": plane_faults.node_lost,
    "evicted": object_faults.evicted,
    "force-deleted": object_faults.force_deleted,
    "finalizer-stripped": object_faults.finalizer_stripped,
    "label-stripped": object_faults.label_stripped,
    "namespace-deleted": record_faults.namespace_deleted,
    "shard-deleted": record_faults.shard_deleted,
}


def play(name: str, cluster: Cluster, machine: Machine, seed: int, kills: int, leaving: list[tuple[Row, Scene]]) -> Row:
    """Play one fault; whatever goes wrong becomes its problem."""
    row, began = Row(name), time.monotonic()
    say(f"{name}: {(FAULTS[name].__doc__ or '').strip()}")
    try:
        with Trial(cluster, machine, row, random_of(seed, name), LOGS, kills, leaving) as trial:
            FAULTS[name](trial)
    except Exception as error:
        traceback.print_exc()
        row.problems.append(f"{type(error).__name__}: {error}")
    row.seconds = time.monotonic() - began
    say(str(row))
    return row


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Play the faults, print the table, and leave the cluster as it was."""
    parser = argparse.ArgumentParser(prog="python -m e2e.chaos", description=__doc__)
    parser.add_argument("--list", action="store_true", help="say which faults there are")
    parser.add_argument("--only", action="append", choices=[*FAULTS], metavar="NAME", help="only this one (repeatable)")
    parser.add_argument("--seed", type=int, default=SEED, help="the same times for the same seed (%(default)s)")
    parser.add_argument("--kills", type=int, default=100, help="how often the operator is killed (%(default)s)")
    arguments = parser.parse_args()
    if arguments.kills < 1:
        parser.error("--kills: there has to be one at least")
    if arguments.list:
        for name, fault in FAULTS.items():
            print(f"{name:<20}{(fault.__doc__ or '').strip()}")
        return 0
    signal.signal(signal.SIGTERM, _interrupted)
    cluster = Cluster.current()
    if cluster.audit_log is None:
        raise SystemExit("the faults are done to the dev cluster, never to one of yours: unset CLUSTER_KUBECONFIG")
    LOGS.mkdir(parents=True, exist_ok=True)
    machine = Machine.current()
    rows: list[Row] = []
    leaving: list[tuple[Row, Scene]] = []
    try:
        machine.check_audit_policy()
        machine.mend()
        dev_operator.make_way()
        cluster.install_crds()
        for name in arguments.only or FAULTS:
            rows.append(play(name, cluster, machine, arguments.seed, arguments.kills, leaving))
            machine.mend()
        for row, scene in leaving:
            scene.keepers = ()
            if problem := wait_gone(scene):
                row.problems.append(problem)
    except Failure as failure:
        print(f"chaos: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        machine.mend()
        say("interrupted")
        return 130
    print(f"\n{table(rows)}\nseed: {arguments.seed}")
    return verdict(rows)


if __name__ == "__main__":
    sys.exit(main())
