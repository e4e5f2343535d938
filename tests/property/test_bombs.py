"""Whatever strangers hand in is read or refused, in little time and memory: nothing else ever comes of it."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.targets import SEEDS, TARGETS

from fairlead.api import yaml_limits
from fairlead.api.lint import lint_text
from fairlead.expr.cel import CelEvaluator

#: Seconds for one input: a hundred times what the worst takes on a quiet machine.
SECONDS = 20.0
MEMORY_KB = 400 * 1024


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """What a test takes, and how much more the process has than before."""
    began, had = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.perf_counter() - began < SECONDS * 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - had < MEMORY_KB


@pytest.mark.parametrize(
    ("target", "seed"),
    [pytest.param(name, seed, id=f"{name}-{n}") for name, seeds in SEEDS.items() for n, seed in enumerate(seeds)],
)
def test_known_bombs_do_not_go_off(target: str, seed: bytes) -> None:
    began = time.perf_counter()
    TARGETS[target](seed)
    assert time.perf_counter() - began < SECONDS


WORDS = {
    "expression": ["params", ".day", ".list", ".n", ".map(x, ", "x", " + ", "(", ")", "[", "]", "'a'", "1", ".size()",
                   ".all(y, ", "y", " ? ", " : ", "toJson(", "fromJson(", ".join(", ".replace('a', ", "&&", "!"],
    "template": ["${", "}", "$${", "params.day", "'", '"', "a", "\\", "\n", "${params.n}"],
    "yaml_text": ["a", ": ", "\n", "- ", "&a ", "*a", "[", "]", "{", "}", ", ", "<<", "|", "'", "---\n", "  ", "!!int ",
                  "apiVersion: fairlead.dev/v1alpha1\n", "kind: Workflow\n", "spec:\n", "tasks:\n"],
    "outputs": ["{", "}", "[", "]", '"string"', ":", ",", "1", "1e999", "null", "true", '"\\ud800"', "-0", "NaN"],
}  # fmt: skip


@pytest.mark.parametrize("target", WORDS)
def test_no_sequence_of_words_breaks(target: str) -> None:
    @settings(max_examples=150)
    @given(st.lists(st.sampled_from(WORDS[target]), max_size=60))
    def play(words: list[str]) -> None:
        TARGETS[target]("".join(words).encode())

    play()


@pytest.mark.parametrize("target", TARGETS)
def test_no_bytes_break(target: str) -> None:
    @settings(max_examples=80)
    @given(st.binary(max_size=300) | st.sampled_from(SEEDS[target]).flatmap(_cut))
    def play(data: bytes) -> None:
        TARGETS[target](data)

    play()


def _cut(seed: bytes) -> st.SearchStrategy[bytes]:
    """A part of something, and something else put into it."""
    seed = seed[:500]
    place = st.integers(0, len(seed))
    return st.tuples(place, st.binary(max_size=4), place).map(lambda cut: seed[: cut[0]] + cut[1] + seed[cut[2] :])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["tasks", "finally", "name", "needs", "container", "image", "args", "forEach", "in", "params",
                         "type", "default", "when", "outputs", "from", "retry", "limit", "http", "url", "set", "values",
                         "value", "wait", "seconds", "repeat", "until", "trigger", "group", "pod", "templateRef"]),
        inner, max_size=5),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=300)
@given(JSON)
def test_no_definition_breaks_the_compile_step(spec: object) -> None:
    import json

    TARGETS["definition"](json.dumps(spec).encode())


# -- YAML: what is refused, and what is not


def said(text: str) -> str:
    return " ".join(str(problem) for problem in lint_text(text, evaluator=CelEvaluator()).problems)


def test_aliases_that_multiply_are_refused() -> None:
    levels = "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(9))
    assert "comes to more than 2,000,000 values" in said(f"a0: &a0 [x]\n{levels}")


def test_merges_that_multiply_are_refused() -> None:
    levels = "".join(f"a{n + 1}: &a{n + 1} {{<<: [{', '.join([f'*a{n}'] * 10)}]}}\n" for n in range(9))
    assert "comes to more than" in said(f"a0: &a0 {{x: 1}}\n{levels}")


def test_an_alias_of_itself_is_refused() -> None:
    assert "*a contains itself" in said("a: &a [1, *a]")


def test_depth_is_bounded_before_the_stack_is() -> None:
    assert "nested more than 200 deep" in said("[" * 1_000_000)
    assert "nested more than 200 deep" in said("a:\n" + "".join(" " * n + "- \n" for n in range(1, 300)))


def test_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_limits, "MOST_BYTES", 1024 * 1024)
    assert "more than 1 MiB" in said("#" * 2 * 1024 * 1024)


def test_aliases_as_people_use_them_are_fine() -> None:
    text = """
apiVersion: fairlead.dev/v1alpha1
kind: Workflow
metadata: {name: a}
spec:
  tasks:
    - {name: a, container: &box {image: i, command: ["true"]}}
    - {name: b, container: *box, needs: [a]}
    - {name: c, container: {<<: *box, args: [x]}, needs: [a]}
"""
    assert said(text) == ""
