from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from e2e.chaos.ledger import Ledger, Witness, compare, read

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def create(name: str, code: int = 201, agent: str = "fairlead/0.1.0", second: int = 0) -> dict[str, Any]:
    return {
        "userAgent": agent,
        "objectRef": {"name": name} if name else {},
        "responseStatus": {"code": code},
        "stageTimestamp": (NOW + timedelta(seconds=second)).isoformat(),
    }


def witness(*names: str, cut_off: tuple[str, ...] = ()) -> Witness:
    return Witness(Counter(names), frozenset(cut_off))


def on_record(*names: str) -> dict[str, datetime | None]:
    return dict.fromkeys(names, NOW)


def test_what_the_operator_created_and_what_was_cut_off_is_read() -> None:
    entries = [create("a"), create("b", 504), create("b", 201, second=3), create("c", 409), create("d", 403)]

    found = read(entries)

    assert found == Witness(Counter(a=1, b=1), frozenset({"b"}), NOW + timedelta(seconds=3))


def test_what_others_create_is_no_attempt() -> None:
    assert read([create("a", agent="kube-controller-manager/v1.34.3"), create("")]).created == Counter()


def test_an_entry_without_an_answer_is_no_creation() -> None:
    assert read([create("a") | {"responseStatus": {}}]).created == Counter()


def test_all_on_record_and_created_once_is_well() -> None:
    assert compare(on_record("a", "b"), witness("a", "b")) == Ledger(attempts=2)


def test_what_was_created_and_is_on_no_record_is_lost() -> None:
    assert compare(on_record("a"), witness("a", "b")) == Ledger(attempts=2, lost=("b",))


def test_what_was_created_twice_is_repeated() -> None:
    assert compare(on_record("a"), witness("a", "a")) == Ledger(attempts=1, repeated=("a",))


def test_what_was_never_created_is_invented() -> None:
    assert compare(on_record("a", "b"), witness("a")) == Ledger(attempts=2, invented=("b",))


def test_a_create_that_was_cut_off_may_have_had_its_effect() -> None:
    assert compare(on_record("a", "b"), witness("a", cut_off=("b",))) == Ledger(attempts=2)


def test_a_create_that_was_cut_off_and_had_none_is_not_missed() -> None:
    assert compare(on_record("a"), witness("a", cut_off=("b",))) == Ledger(attempts=1)


def test_what_was_created_while_the_api_server_died_need_not_be_in_its_log() -> None:
    outage = (NOW - timedelta(seconds=5), NOW - timedelta(seconds=1))

    assert compare(on_record("a"), witness(), [outage]).invented == ()
    earlier = (NOW - timedelta(seconds=60), NOW - timedelta(seconds=50))
    assert compare(on_record("a"), witness(), [earlier]).invented == ("a",)
    assert compare({"a": None}, witness(), [outage]).invented == ("a",)
