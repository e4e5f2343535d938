"""The record of a run: what is in it, how it is read, and what its name tells."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.archive.logs import LogKey, pack_log, unpack_log
from fairlead.archive.record import FORMAT, RunKey, pack, unpack
from fairlead.archive.store import ArchiveError

ENDED = datetime(2026, 11, 22, 8, 1, 2, tzinfo=UTC)
KEY = RunKey(namespace="data", name="daily", uid="u-1", finished_at=ENDED, phase="Succeeded")

WORKFLOW: dict[str, Any] = {
    "apiVersion": "fairlead.dev/v1alpha1",
    "kind": "Workflow",
    "metadata": {
        "name": "daily",
        "namespace": "data",
        "uid": "u-1",
        "resourceVersion": "7",
        "managedFields": [{"manager": "kubectl"}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "team": "sales"},
    },
    "spec": {"tasks": [{"name": "a", "set": {"values": []}}]},
    "status": {"phase": "Succeeded", "revision": 4, "internal": {}, "tasks": [{"name": "a", "phase": "Succeeded"}]},
}
TASKS = [{"name": "a", "phase": "Succeeded", "outputs": {"text": "one\ntwo"}}, {"name": "b", "phase": "Failed"}]


def lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(content).splitlines()]


class TestRecord:
    def test_it_is_a_line_for_the_run_and_one_for_each_task(self) -> None:
        head, *tasks = lines(pack(WORKFLOW, TASKS))
        assert (head["kind"], head["format"], head["spec"]) == ("Run", FORMAT, WORKFLOW["spec"])
        assert head["status"] == {"phase": "Succeeded"}
        assert tasks == [{"kind": "Task", "run": "u-1", **each} for each in TASKS]

    def test_what_tells_nothing_about_a_run_that_is_gone_is_left_out(self) -> None:
        (head,) = lines(pack(WORKFLOW, []))
        assert head["metadata"] == {
            "name": "daily",
            "namespace": "data",
            "uid": "u-1",
            "annotations": {"team": "sales"},
        }

    def test_it_can_be_read_as_the_workflow_that_it_was(self) -> None:
        read = unpack(pack(WORKFLOW, TASKS, definition={"tasks": []}))
        assert read.workflow["status"]["tasks"] == TASKS
        assert read.workflow["spec"] == WORKFLOW["spec"]
        assert read.definition == {"tasks": []}

    def test_the_same_run_gives_the_same_bytes(self) -> None:
        assert pack(WORKFLOW, TASKS) == pack(WORKFLOW, TASKS)

    def test_shards_that_are_gone_are_named(self) -> None:
        assert lines(pack(WORKFLOW, [], missing=["daily-2"]))[0]["missingShards"] == ["daily-2"]

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"{}", id="not compressed"),
            pytest.param(gzip.compress(b"nonsense"), id="no JSON"),
            pytest.param(gzip.compress(b"{}\n"), id="no run"),
            pytest.param(gzip.compress(b"[1]\n"), id="no object"),
            pytest.param(pack(WORKFLOW, TASKS)[:-20], id="cut off"),
        ],
    )
    def test_what_is_no_record_is_refused(self, content: bytes) -> None:
        with pytest.raises(ArchiveError, match="no record"):
            unpack(content)

    def test_one_that_only_a_newer_release_can_read_says_so(self) -> None:
        newer = gzip.compress(json.dumps({"kind": "Run", "format": FORMAT + 1, "fairlead": "9.0.0"}).encode() + b"\n")
        with pytest.raises(ArchiveError, match=r"fairlead 9\.0\.0, which is newer"):
            unpack(newer)


class TestName:
    def test_it_tells_when_and_how_the_run_ended(self) -> None:
        assert KEY.path == "runs/data/2026-11-22/daily/080102_Succeeded_1_u-1.jsonl.gz"

    def test_no_part_of_it_is_longer_than_file_systems_allow(self) -> None:
        longest = RunKey(namespace="n" * 63, name="x" * 253, uid="u" * 36, finished_at=ENDED, phase="p" * 63)
        assert max(map(len, longest.path.split("/"))) <= 255

    @given(
        st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True),
        st.integers(86_400, 7_000_000_000),
        st.integers(1, 10**6),
    )
    def test_what_it_tells_can_be_read_again(self, name: str, seconds: int, epoch: int) -> None:
        finished_at = datetime.fromtimestamp(seconds, UTC)
        key = RunKey(namespace="ns", name=name, uid="u-1_x", finished_at=finished_at, phase="Failed", epoch=epoch)
        assert RunKey.read(key.path) == key

    @pytest.mark.parametrize(
        "path",
        [
            "logs/data/daily/u-1/daily-a-1/daily-a-1.log.gz",
            "runs/data/2026-11-22/daily/README",
            "runs/data/2026-11-22/080102_Succeeded_1_u-1.jsonl.gz",
            "runs/data/yesterday/daily/080102_Succeeded_1_u-1.jsonl.gz",
            "runs/data/2026-11-22/daily/080102_Succeeded_first_u-1.jsonl.gz",
            "runs/data/2026-11-22/daily/_.jsonl.gz",
        ],
    )
    def test_what_is_none_of_ours_is_not_read(self, path: str) -> None:
        assert RunKey.read(path) is None

    def test_folders_narrow_it_down(self) -> None:
        assert RunKey.folder() == "runs"
        assert RunKey.folder("data", "2026-11-22") == "runs/data/2026-11-22"
        assert KEY.path.startswith(RunKey.folder("data", "2026-11-22", "daily") + "/")


class TestLogs:
    @pytest.mark.parametrize("part", [False, True])
    def test_the_name_of_a_log_can_be_read_again(self, part: bool) -> None:
        key = LogKey(namespace="ns", run="daily", uid="u-1", object_name="daily-a-1", pod="daily-a-1-x7", part=part)
        assert LogKey.read(key.path) == key
        assert key.path.startswith(LogKey.folder("ns", "daily", "u-1", "daily-a-1") + "/")

    @pytest.mark.parametrize("path", ["logs/ns/daily/u-1/x.log.gz", "runs/ns/daily/u-1/x/y.log.gz", "logs/a/b/c/d/e"])
    def test_what_is_none_of_ours_is_not_read(self, path: str) -> None:
        assert LogKey.read(path) is None

    def test_a_log_comes_back_as_it_was(self) -> None:
        assert unpack_log(pack_log(b"one\ntw\xff")) == b"one\ntw\xff"
