"""Two operators at work at once, as when an old one has not noticed yet that it was replaced."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.controllers.fake_api import Stage, looptime, tasks

from fairlead.api import labels
from fairlead.api.shard import read_tasks
from fairlead.kube.resources import PODS
from fairlead.kube.transport import JsonObject

pytestmark = looptime


@pytest.fixture
async def other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """Another operator over the same API server."""
    found = Stage(monkeypatch)
    found.api = stage.api
    found.operator = found._new_operator()
    yield found
    await found.crash()


class Witness:
    """Notes which pods were created how often, and which were let go of before their end was on record."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._held: set[str] = set()
        self.created: Counter[str] = Counter()
        self.too_early: list[str] = []
        stage.api.follow(PODS, self._hear)

    def _hear(self, type_: str, raw: JsonObject) -> None:
        name = raw["metadata"]["name"]
        self.created[name] += type_ == "ADDED"
        if labels.FINALIZER in raw["metadata"].get("finalizers", ()):
            self._held.add(name)
        elif name in self._held and name not in _ended(self._stage):
            self.too_early.append(name)


def _ended(stage: Stage) -> set[str]:
    attempts = [each for task in read_tasks(stage.status(), stage.shards()) for each in task.get("attempts", ())]
    return {each["podName"] for each in attempts if "completionTime" in each}


def chain() -> dict[str, Any]:
    """Two tasks at the start, one of which fails once, one after both of them, and one more."""
    retried = tasks("b", retry={"limit": 1, "backoff": {"initialSeconds": 1}})["tasks"]
    return {
        "tasks": [*tasks("a")["tasks"], *retried, *tasks("c", needs=["a", "b"])["tasks"], *tasks("d")["tasks"]],
        "parallelism": 2,
    }


async def play(stage: Stage, seconds: float) -> None:
    """End each pod so many seconds after it was seen first; the first attempt of `b` fails."""
    done: set[str] = set()
    for _ in range(40):
        await asyncio.sleep(seconds)
        for pod in sorted(set(stage.pods()) - done):
            done.add(pod)
            stage.ends(pod, code=pod == stage.pod("b"))


@pytest.mark.parametrize("late", [0.0, 0.7, 3.3])
@pytest.mark.parametrize("seconds", [0.3, 1.1])
async def test_each_attempt_is_created_once_and_the_run_ends_as_it_should(
    stage: Stage, other: Stage, late: float, seconds: float
) -> None:
    await stage.begin()
    witness, uid = Witness(stage), stage.apply(chain())
    await asyncio.sleep(late)
    await other.begin()
    await play(stage, seconds)
    await asyncio.sleep(130)
    assert uid == stage.uid()
    assert stage.phases() == {"a": "Succeeded", "b": "Succeeded", "c": "Succeeded", "d": "Succeeded"}
    assert stage.status()["phase"] == "Succeeded"
    assert set(witness.created) == {stage.pod("a"), stage.pod("b"), stage.pod("b", 2), stage.pod("c"), stage.pod("d")}
    assert set(witness.created.values()) == {1}
    assert witness.too_early == []
    assert stage.held() == []
