"""The list of mutants does not rot: every invariant has one, each still fits the source, and its tests exist.

Whether they are caught is the business of `make mutants`; here, that it would tell if they were not.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from tests.mutants.catalogue import MUTANTS, named_tests
from tests.mutants.document import document
from tests.mutants.invariants import INVARIANTS, NOT_BUILT
from tests.mutants.mutant import Mutant, OutOfDate, operator_folder
from tests.mutants.trial import Verdict, judge, try_mutant

ROOT = Path(__file__).resolve().parents[2]

by_id = pytest.mark.parametrize("mutant", MUTANTS, ids=[each.id for each in MUTANTS])

NAMED = "tests/unit/engine/test_wording.py::test_a_long_message_ends_in_an_ellipsis"

LONG = Mutant(
    invariant="S15",
    name="for-this-test",
    broken="Messages are not cut.",
    file="engine/wording.py",
    old="    return message if len(message) <= MESSAGE_CHARACTERS else",
    new="    return message if True else",
    caught_by=(NAMED,),
)


# -- the list


def test_every_invariant_has_some() -> None:
    assert {each.invariant for each in MUTANTS} == set(INVARIANTS)
    assert sorted([*INVARIANTS, *NOT_BUILT]) == sorted([f"S{n}" for n in range(1, 18)] + [f"L{n}" for n in range(1, 6)])


def test_each_has_a_name_of_its_own() -> None:
    assert len({each.id for each in MUTANTS}) == len(MUTANTS)


@by_id
def test_it_fits_the_source_and_is_python(mutant: Mutant) -> None:
    source = mutant.path(operator_folder()).read_text(encoding="utf-8")
    broken = mutant.applied_to(source)
    assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(source))


@pytest.mark.parametrize("test", named_tests(MUTANTS))
def test_the_tests_that_it_names_exist(test: str) -> None:
    file, *names = test.split("::")
    body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    for name in names:
        found = [each for each in body if getattr(each, "name", None) == name]
        assert found, f"{file} has no {name}"
        body = getattr(found[0], "body", [])


def test_people_can_read_all_of_it() -> None:
    text = document()
    assert all(each.broken in text for each in MUTANTS)


# -- what would be told


@pytest.mark.parametrize(
    ("ends", "hangs", "verdict"),
    [
        pytest.param({NAMED: "assertion"}, False, Verdict.CAUGHT, id="by an assertion"),
        pytest.param({f"{NAMED}[a]": "", f"{NAMED}[b]": "assertion"}, False, Verdict.CAUGHT, id="in one of its cases"),
        pytest.param({NAMED: ""}, False, Verdict.SURVIVED, id="the test passes"),
        pytest.param({f"{NAMED}_else": "assertion"}, False, Verdict.SURVIVED, id="another test fails"),
        pytest.param({NAMED: "KeyError"}, False, Verdict.CRASHED, id="another error"),
        pytest.param({"": "cannot import"}, False, Verdict.CRASHED, id="no test at all"),
        pytest.param(None, False, Verdict.HUNG, id="no end"),
        pytest.param(None, True, Verdict.CAUGHT, id="no end, as was to be expected"),
    ],
)
def test_verdicts(ends: dict[str, str] | None, hangs: bool, verdict: Verdict) -> None:
    assert judge(replace(LONG, hangs=hangs), ends)[0] is verdict


def test_each_of_several_tests_has_to_catch_it() -> None:
    both = replace(LONG, caught_by=(NAMED, "tests/other.py::test_other"))
    assert judge(both, {NAMED: "assertion", "tests/other.py::test_other": ""})[0] is Verdict.SURVIVED


@pytest.mark.parametrize(
    ("new", "verdict"),
    [
        pytest.param(LONG.new, Verdict.CAUGHT, id="broken"),
        pytest.param(LONG.old.replace("if", " if"), Verdict.SURVIVED, id="not broken at all"),
        pytest.param(f"    raise KeyError\n{LONG.old}", Verdict.CRASHED, id="another error"),
        pytest.param(f"    assert not message\n{LONG.old}", Verdict.CRASHED, id="an assertion of its own"),
        pytest.param(f"    return (\n{LONG.old}", Verdict.CRASHED, id="no Python"),
    ],
)
def test_trying_one(new: str, verdict: Verdict) -> None:
    assert try_mutant(replace(LONG, new=new), operator_folder()).verdict is verdict


@pytest.mark.parametrize("old", ["no such piece", "message"])
def test_one_that_does_not_fit_any_more_is_out_of_date(old: str) -> None:
    outdated = replace(LONG, old=old)
    with pytest.raises(OutOfDate, match="S15/for-this-test is out of date"):
        outdated.applied_to(outdated.path(operator_folder()).read_text(encoding="utf-8"))
