"""Names are pure functions of what they name, short, and valid wherever Kubernetes wants them."""

import re

import pytest

from fairlead.engine.names import (
    LABEL_LIMIT,
    NAME_LIMIT,
    attempt_name,
    bucket,
    label_value,
    shard_name,
    task_and_index,
)

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@pytest.mark.parametrize(
    ("run", "node", "number"),
    [
        pytest.param("daily", "extract", 1, id="plain"),
        pytest.param("daily.sales", "extract", 1, id="a dot"),
        pytest.param("daily", "m[3]", 1, id="an item"),
        pytest.param("r" * 253, "t" * 63, 1_000_000, id="as long as can be"),
        pytest.param("a" * 37 + "-", "b", 1, id="cut at a hyphen"),
        pytest.param("x", "y", 2048, id="many attempts"),
    ],
)
def test_an_attempts_name_is_a_short_dns_label(run: str, node: str, number: int) -> None:
    name = attempt_name(run, "uid", node, number)
    assert LABEL.fullmatch(name)
    assert len(name) <= NAME_LIMIT
    assert name.endswith(f"-{number}")


def test_the_readable_part_says_what_it_is() -> None:
    assert attempt_name("daily", "uid", "m[3]", 2).startswith("daily-m-3-")


def test_a_name_is_for_ever() -> None:
    # Objects of an older release are found by it.
    assert attempt_name("daily", "uid", "extract", 1) == "daily-extract-908a26270a-1"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(("run", "u1", "a", 1), ("run", "u2", "a", 1), id="runs of one name"),
        pytest.param(("run", "u", "m[3]", 1), ("run", "u", "m-3", 1), id="nodes that read the same"),
        pytest.param(("run", "u", "a", 1), ("run", "u", "a", 11), id="attempts"),
        pytest.param(("r" * 60, "u", "a", 1), ("r" * 60, "u", "b", 1), id="nodes past the cut"),
        pytest.param(("run", "u", "a-b", 1), ("run-a", "u", "b", 1), id="a hyphen that moves"),
    ],
)
def test_different_attempts_have_different_names(
    one: tuple[str, str, str, int], other: tuple[str, str, str, int]
) -> None:
    assert attempt_name(*one) != attempt_name(*other)


@pytest.mark.parametrize(
    ("text", "unchanged"),
    [
        pytest.param("daily-sales", True, id="plain"),
        pytest.param("a" * 63, True, id="of the greatest length"),
        pytest.param("a" * 64, False, id="one too long"),
        pytest.param("Daily", False, id="capitals"),
        pytest.param("m[3]", False, id="brackets"),
        pytest.param("größe", False, id="not ascii"),
        pytest.param("trailing-", False, id="ends in a hyphen"),
    ],
)
def test_label_values(text: str, unchanged: bool) -> None:
    value = label_value(text)
    assert (value == text) == unchanged
    assert LABEL.fullmatch(value)
    assert len(value) <= LABEL_LIMIT


@pytest.mark.parametrize(
    ("node", "task", "index"),
    [
        pytest.param("m", "m", None, id="a task"),
        pytest.param("m[0]", "m", 0, id="its first item"),
        pytest.param("m[9999]", "m", 9999, id="its last"),
        pytest.param("m[x]", "m[x]", None, id="what we never write"),
    ],
)
def test_a_node_is_a_task_or_one_of_its_items(node: str, task: str, index: int | None) -> None:
    assert task_and_index(node) == (task, index)


def test_cut_label_values_stay_apart() -> None:
    assert label_value("a" * 70) != label_value("a" * 71)


def test_buckets_are_stable_and_in_use() -> None:
    found = {bucket(f"uid-{i}") for i in range(5000)}
    assert found == set(range(256))
    assert bucket("uid-0") == bucket("uid-0")


@pytest.mark.parametrize("run", ["daily", "daily.sales", "r" * 253])
def test_a_shards_name_is_a_short_dns_label(run: str) -> None:
    name = shard_name(run, "uid", 9_999)
    assert LABEL.fullmatch(name)
    assert len(name) <= NAME_LIMIT


def test_shards_of_different_runs_and_places_have_different_names() -> None:
    names = {shard_name("r" * 60, uid, index) for uid in "ab" for index in (1, 11)}
    assert len(names) == 4
    assert shard_name("daily", "uid", 0) == "daily-17b788a70e-0"  # for ever: those of an older release are read by it
