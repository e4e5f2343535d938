from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from e2e.chaos.ledger import Ledger, Witness, compare, read

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

Entry = dict[str, Any]


def at(second: float) -> str:
    return (NOW + timedelta(seconds=second)).isoformat()


def entry(name: str, verb: str, code: int, second: float = 0, **fields: Any) -> Entry:
    """An entry that was answered at once."""
    reference = {"name": name, "subresource": fields.pop("subresource", ""), "uid": fields.pop("uid", "")}
    return {
        "verb": verb,
        "userAgent": "somebody/1",
        "objectRef": reference,
        "responseStatus": {"code": code, **fields.pop("answer", {})},
        "requestReceivedTimestamp": at(second),
        "stageTimestamp": at(second),
        **fields,
    }


def create(name: str, code: int = 201, second: float = 0, **fields: Any) -> Entry:
    return entry(name, "create", code, second, **{"userAgent": "fairlead/0.1.0", **fields})


def taken(name: str, second: float = 0) -> Entry:
    return create(name, 409, second, answer={"reason": "AlreadyExists"})


def binding(name: str, uid: str, second: float = 0, code: int = 201) -> Entry:
    return entry(name, "create", code, second, subresource="binding", uid=uid)


def removal(name: str, uid: str, second: float = 0) -> Entry:
    return entry(name, "delete", 200, second, answer={"details": {"uid": uid}})


def witness(*names: str, cut_off: tuple[str, ...] = (), proven: tuple[str, ...] = ()) -> Witness:
    return Witness(Counter(names), frozenset(cut_off), Counter(names + proven))


def on_record(*names: str) -> dict[str, datetime | None]:
    return dict.fromkeys(names, NOW)


def test_what_the_operator_created_and_what_was_cut_off_is_read() -> None:
    entries = [create("a"), create("b", 504), create("b", 201, second=3), create("c", 409), create("d", 403)]

    found = read(entries)

    assert found == Witness(Counter(a=1, b=1), frozenset({"b"}), Counter(a=1, b=1), NOW + timedelta(seconds=3))


@pytest.mark.parametrize("code", [500, 503, 504])
def test_an_error_of_the_server_may_have_had_its_effect(code: int) -> None:
    assert read([create("a", code)]).cut_off == {"a"}


def test_what_others_create_is_no_attempt() -> None:
    assert read([create("a", userAgent="kube-controller-manager/v1.34.3"), create("")]).created == Counter()


def test_an_entry_without_an_answer_is_no_creation() -> None:
    assert read([create("a") | {"responseStatus": {}}]).objects == Counter()


@pytest.mark.parametrize(
    "proof",
    [
        binding("a", "1"),
        entry("a", "patch", 200),
        entry("a", "delete", 200),
        entry("a", "update", 200, subresource="status", uid="1"),
        entry("a", "create", 201, subresource="eviction"),
        taken("a"),
    ],
    ids=["bound", "patched", "deleted", "status", "evicted", "taken"],
)
def test_another_entry_proves_what_was_cut_off(proof: Entry) -> None:
    found = read([create("a", 504), proof])

    assert (found.proven, found.objects) == ({"a"}, Counter(a=1))


@pytest.mark.parametrize(
    "other",
    [
        binding("a", "1", code=404),
        entry("a", "patch", 404),
        create("a", 409, answer={"reason": "Conflict"}),
        binding("b", "1"),
    ],
    ids=["no binding", "no patch", "of a quota", "of another"],
)
def test_what_had_no_success_proves_nothing(other: Entry) -> None:
    assert read([create("a", 504), other]).proven == frozenset()


def test_all_that_is_said_of_one_object_is_one_object() -> None:
    entries = [create("a"), taken("a", 1), binding("a", "1", 2), entry("a", "patch", 200, 3), removal("a", "1", 4)]

    assert read(entries).objects == Counter(a=1)


def test_two_uids_are_two_objects() -> None:
    first = [create("a", 504), binding("a", "1"), removal("a", "1", 1)]

    assert read([*first, create("a", 504, 2), binding("a", "2", 3)]).objects == Counter(a=2)
    assert read([*first, create("a", 201, 2), binding("a", "2", 3)]).objects == Counter(a=2)


def test_a_create_after_a_proof_is_a_second_object() -> None:
    assert read([create("a", 504), entry("a", "delete", 200, 1), create("a", 201, 2)]).objects == Counter(a=2)


def test_a_create_that_was_under_way_before_the_proof_is_the_object_that_it_proves() -> None:
    slow = create("a", 201, 2) | {"requestReceivedTimestamp": at(0)}

    assert read([taken("a", 1), slow]).objects == Counter(a=1)


def test_all_on_record_and_created_once_is_well() -> None:
    assert compare(on_record("a", "b"), witness("a", "b")) == Ledger(frozenset("ab"))


def test_what_was_created_and_is_on_no_record_is_lost() -> None:
    assert compare(on_record("a"), witness("a", "b")) == Ledger(frozenset("ab"), lost=("b",))


def test_what_was_created_twice_is_repeated() -> None:
    assert compare(on_record("a"), witness("a", "a")) == Ledger(frozenset("a"), repeated=("a",))


def test_what_was_never_created_is_invented() -> None:
    assert compare(on_record("a", "b"), witness("a")) == Ledger(frozenset("a"), invented=("b",))


def test_a_create_that_was_cut_off_may_have_had_its_effect() -> None:
    assert compare(on_record("a", "b"), witness("a", cut_off=("b",))) == Ledger(frozenset("a"))


def test_a_create_that_was_cut_off_and_had_none_is_not_missed() -> None:
    assert compare(on_record("a"), witness("a", cut_off=("b",))) == Ledger(frozenset("a"))


def test_a_create_that_was_cut_off_and_made_an_object_is_lost_without_a_record() -> None:
    assert compare(on_record("a"), witness("a", cut_off=("b",), proven=("b",))).lost == ("b",)


def test_a_create_that_was_cut_off_and_made_a_second_object_is_repeated() -> None:
    found = compare(on_record("a"), witness(cut_off=("a",), proven=("a", "a")))

    assert found == Ledger(frozenset("a"), repeated=("a",))


def test_what_is_proven_and_has_the_name_of_no_attempt_is_none() -> None:
    assert compare({}, witness(proven=("a-pod-of-a-job",))) == Ledger(frozenset())


def test_what_is_proven_and_has_the_name_of_an_attempt_needs_no_create_in_the_log() -> None:
    assert compare({}, witness(proven=("a",)), planned={"a"}) == Ledger(frozenset("a"), lost=("a",))


def test_what_was_created_while_the_api_server_died_need_not_be_in_its_log() -> None:
    outage = (NOW - timedelta(seconds=5), NOW - timedelta(seconds=1))

    assert compare(on_record("a"), witness(), outages=[outage]) == Ledger(frozenset("a"))
    earlier = (NOW - timedelta(seconds=60), NOW - timedelta(seconds=50))
    assert compare(on_record("a"), witness(), outages=[earlier]).invented == ("a",)
    assert compare({"a": None}, witness(), outages=[outage]).invented == ("a",)
