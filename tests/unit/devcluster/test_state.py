from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from e2e.devcluster import processes, state
from e2e.devcluster.progress import Failure


def _cluster() -> state.Cluster:
    return state.Cluster(
        phase="up",
        kubernetes="v1.34.3",
        server="https://127.0.0.1:26443",
        kubeconfig="/s/kubeconfig",
        audit_log="/s/audit/audit.log",
        logs="/s/logs",
        volumes="/s/volumes",
        bin_dir="/s/bin",
        node="devcluster",
        processes={"etcd": state.Process(1, 2, "boot", ("etcd", "--flag"), "/s/logs/etcd.log")},
    )


def test_a_saved_record_is_read_back_unchanged(tmp_path: Path) -> None:
    at = state.Layout(tmp_path / "new")
    state.save(at, _cluster())
    assert state.load(at) == _cluster()


def test_no_record_is_no_cluster(tmp_path: Path) -> None:
    assert state.load(state.Layout(tmp_path)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"processes": {}, "unknown": 1}'])
def test_a_damaged_record_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(Failure, match="cluster-down"):
        state.load(state.Layout(tmp_path))


def test_the_record_has_the_fields_that_tests_read(tmp_path: Path) -> None:
    at = state.Layout(tmp_path)
    state.save(at, _cluster())
    assert {"kubeconfig", "audit_log", "volumes", "logs", "bin_dir", "node", "kwok_nodes", "processes"} <= set(
        json.loads(at.record.read_text())
    )


def test_a_path_too_long_for_a_socket_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ("x" * 90)))
    with pytest.raises(Failure, match="XDG_STATE_HOME"):
        state.layout()


def test_directories_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    monkeypatch.delenv("FAIRLEAD_CACHE", raising=False)
    assert state.state_root() == Path("/s/fairlead/devcluster")
    assert state.cache_root() == Path("/c/fairlead")
    monkeypatch.setenv("FAIRLEAD_CACHE", "/f")
    assert state.cache_root() == Path("/f")


def test_two_state_directories_have_two_cgroups() -> None:
    assert state.Layout(Path("/a")).cgroup != state.Layout(Path("/b")).cgroup


def test_a_process_is_recognised_and_stopped(tmp_path: Path) -> None:
    process = processes.start([sys.executable, "-c", "import time; time.sleep(60)"], log=tmp_path / "log")
    assert processes.alive(process)
    processes.stop(process)
    assert not processes.alive(process)


def test_a_process_that_reuses_the_id_is_left_alone() -> None:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as other:
        reused = state.Process(other.pid, 1, processes.boot_id(), ("etcd",), "")
        processes.stop(reused)
        assert other.poll() is None


def test_a_process_of_another_boot_is_not_ours(tmp_path: Path) -> None:
    process = processes.start([sys.executable, "-c", "import time; time.sleep(60)"], log=tmp_path / "log")
    try:
        assert not processes.alive(replace(process, boot_id="another"))
    finally:
        processes.stop(process)


def test_a_dead_component_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    process = processes.start([sys.executable, "-c", "print('no such flag: --x')"], log=tmp_path / "log")
    os.waitpid(process.pid, 0)
    with pytest.raises(Failure, match=r"etcd ended[\s\S]*no such flag"):
        processes.must_live("etcd", process)
