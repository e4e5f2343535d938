"""Two replicas at work: one is killed, held up past its lease, or replaced. Nothing is lost, and nothing runs twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from e2e.kubectl import Cluster, wait_until
from e2e.replicas import Replica, Replicas
from e2e.workflows import Workflows, workflow

from fairlead.controllers.buckets import group_of

Object = dict[str, Any]

#: How many runs, and how many pods one after the other in each.
RUNS, PODS = 30, 6

#: On simulated nodes: what matters here are the requests, of which there are many at once.
DEFAULTS: Object = {
    "image": "busybox:1.36",
    "pod": {
        "nodeSelector": {"type": "kwok"},
        "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
    },
}


@pytest.fixture
def replicas(cluster: Cluster, workflows: Workflows, operator_log: Path) -> Iterator[Replicas]:
    folder = operator_log.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    with Replicas(cluster, workflows.namespace, folder) as found:
        yield found


def load(workflows: Workflows, seconds: int) -> None:
    """Apply all runs: pods, with a pause of so many seconds between two."""
    workflows.apply(*(a_run(f"run-{number}", seconds) for number in range(RUNS)))


def a_run(name: str, seconds: int) -> Object:
    tasks: dict[str, Object] = {}
    for number in range(PODS):
        tasks[f"pod-{number}"] = {"container": {}, **({"needs": [f"wait-{number - 1}"]} if number else {})}
        if number + 1 < PODS:
            tasks[f"wait-{number}"] = {"wait": {"seconds": seconds}, "needs": [f"pod-{number}"]}
    return workflow(name, tasks, taskDefaults=DEFAULTS)


def wait_created(workflows: Workflows, pods: int) -> None:
    wait_until(f"{pods} pods to be created", lambda: len(workflows.audit.created(workflows.namespace)) >= pods, 60)


def all_runs(workflows: Workflows) -> list[Object]:
    found: list[Object] = workflows.cluster.get("workflows", "-n", workflows.namespace)["items"]
    return found


def runs_of(workflows: Workflows, groups: frozenset[int]) -> set[str]:
    """Return the names of the runs in some groups."""
    runs = (each["metadata"] for each in all_runs(workflows))
    return {metadata["name"] for metadata in runs if group_of(metadata["uid"]) in groups}


def assert_all_ended_well(workflows: Workflows) -> None:
    """Every run succeeds; each attempt on record was created once, and nothing else was."""

    def ended() -> list[Object] | None:
        found = all_runs(workflows)
        return found if all(is_finished(each.get("status", {})) for each in found) else None

    found = wait_until("all runs to end", ended, 120, 0.5)
    assert [each["status"]["phase"] for each in found] == ["Succeeded"] * RUNS
    attempts = [task["attempts"] for each in found for task in each["status"]["tasks"] if task["name"][:3] == "pod"]
    assert [len(each) for each in attempts] == [1] * RUNS * PODS
    created = workflows.audit.created(workflows.namespace)
    assert set(created.values()) == {1}, f"created more than once: {created}"
    recorded = {each["podName"] for (each,) in attempts}
    assert set(created) <= recorded
    # A create whose sender died has no answer in the log, but may have had its effect.
    assert recorded - set(created) <= workflows.audit.cut_off(workflows.namespace)


def is_finished(status: Mapping[str, Any]) -> bool:
    return any(each["type"] == "Finished" and each["status"] == "True" for each in status.get("conditions", ()))


def written_by(workflows: Workflows, replica: Replica) -> list[Object]:
    """Return what a replica has asked to be written here, in order."""
    entries = workflows.audit.all_of(workflows.namespace)
    return [entry for entry in entries if entry["user"]["username"] == replica.user]


def acted(workflows: Workflows, replica: Replica, runs: set[str], since: datetime) -> list[datetime]:
    """Return when a replica has put something about one of these runs on record since then."""
    return [
        moment
        for entry in written_by(workflows, replica)
        if (moment := datetime.fromisoformat(entry["requestReceivedTimestamp"])) >= since
        and entry["objectRef"]["resource"] == "workflows"
        and entry["objectRef"].get("name") in runs
    ]


def test_the_work_of_a_replica_that_is_killed_is_taken_over(workflows: Workflows, replicas: Replicas) -> None:
    first, second = replicas.start("first"), replicas.start("second")
    shares = replicas.wait_shares(first, second)
    load(workflows, seconds=2)
    wait_created(workflows, RUNS * 2)
    orphaned = runs_of(workflows, shares["first"])

    first.process.kill()
    killed = datetime.now(UTC)
    replicas.wait_shares(second, timeout=20)

    seconds = (max(replicas.taken_at().values()) - killed).total_seconds()
    assert seconds < 15
    assert_all_ended_well(workflows)
    went_on = (min(acted(workflows, second, orphaned, killed)) - killed).total_seconds()
    print(f"{len(orphaned)} runs: groups taken after {seconds:.1f} s, first status written after {went_on:.1f} s")
    assert went_on < 15


def test_a_replica_that_was_held_up_writes_nothing_before_it_is_a_member_again(
    workflows: Workflows, replicas: Replicas
) -> None:
    first, second = replicas.start("first"), replicas.start("second")
    replicas.wait_shares(first, second)
    load(workflows, seconds=4)
    wait_created(workflows, RUNS * 2)
    assert written_by(workflows, first)

    first.pause()
    replicas.wait_shares(second, timeout=25)
    woken = datetime.now(UTC)
    first.resume()
    shares = replicas.wait_shares(first, second)

    back = min(moment for group, moment in replicas.taken_at().items() if group in shares["first"])
    assert back > woken
    assert_all_ended_well(workflows)
    sent = [
        (entry["verb"], entry["objectRef"]["resource"], entry["objectRef"].get("name"), entry["responseStatus"]["code"])
        for entry in written_by(workflows, first)
        if woken <= datetime.fromisoformat(entry["requestReceivedTimestamp"]) < back
    ]
    print(f"sent between waking up and being a member again, {(back - woken).total_seconds():.1f} s later: {sent}")
    assert [each for each in sent if each[-1] < 300] == []


def test_replicas_are_replaced_one_after_the_other_in_mid_run(workflows: Workflows, replicas: Replicas) -> None:
    old = [replicas.start("old-1"), replicas.start("old-2")]
    replicas.wait_shares(*old)
    load(workflows, seconds=4)
    wait_created(workflows, RUNS)
    serving = list(old)
    for number, leaving in enumerate(old):
        serving.append(replicas.start(f"new-{number}"))
        replicas.wait_shares(*serving)
        assert not all(is_finished(each.get("status", {})) for each in all_runs(workflows)), "the runs were too short"
        serving.remove(leaving)

        told = datetime.now(UTC)
        assert leaving.process.stop() == 0, leaving.process.log_tail()
        left = datetime.now(UTC)
        replicas.wait_shares(*serving)

        handed_over = (max(replicas.taken_at().values()) - told).total_seconds()
        print(f"{leaving.name} ended after {(left - told).total_seconds():.1f} s, replaced after {handed_over:.1f} s")
        assert handed_over < 5
    assert_all_ended_well(workflows)
