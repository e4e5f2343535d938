"""S11: plans that depend on more than their inputs."""

from __future__ import annotations

from .mutant import Mutant

__all__ = ["MUTANTS"]

_ENGINE = "tests/unit/engine"

MUTANTS = (
    Mutant(
        invariant="S11",
        name="facts-as-they-come",
        broken="The facts of one call are taken in in the order in which they come.",
        file="engine/plan.py",
        old="    for event in sorted(events, key=_place):\n",
        new="    for event in events:\n",
        caught_by=(f"{_ENGINE}/test_plan.py::test_the_order_of_facts_that_come_together_does_not_matter",),
    ),
    Mutant(
        invariant="S11",
        name="order-of-a-set",
        broken="The children of a task are looked at in the order of a set, which each process has anew.",
        file="engine/passes.py",
        old="    for name in p.graph.children[state.name]:\n",
        new="    for name in set(p.graph.children[state.name]):\n",
        caught_by=(f"{_ENGINE}/test_plan.py::test_the_same_facts_give_the_same_commands_whatever_the_hash_seed",),
    ),
    Mutant(
        invariant="S11",
        name="jitter-of-the-process",
        broken="The jitter of a back-off is another one in each process.",
        file="engine/retry.py",
        old="        delay *= int.from_bytes(sha256(seed.encode()).digest()[:8]) / 2**64\n",
        new="        delay *= (hash(seed) % 2**32) / 2**32\n",
        caught_by=(f"{_ENGINE}/test_retry.py::test_full_jitter_is_the_same_in_every_process",),
    ),
)
