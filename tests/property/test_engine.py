"""The laws of the engine, in worlds where anything may happen: see `world.py` for what is asserted where."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.property.reference import interpret
from tests.property.script import DONE, Task
from tests.property.strategies import PARALLELISM, tasks
from tests.property.world import World, end_of, node_of
from tests.unit.engine.kit import RUN, T0, UID, Bench, Cluster, at, driven

from fairlead.engine import graph as graphs
from fairlead.engine.commands import Command, RecordEvent
from fairlead.engine.events import Event
from fairlead.engine.model import Settings
from fairlead.engine.plan import begin, plan

SEEDS = st.integers(0, 2**16).map(Random)
INDEX = st.integers(0, 50)


class AnythingMayHappen(RuleBasedStateMachine):
    """One run, its cluster and its controller, one step of one of them at a time."""

    @initialize(of=tasks(), parallelism=PARALLELISM)
    def begin(self, of: list[Task], parallelism: int | None) -> None:
        self.world = World(of, parallelism)

    @rule(random=SEEDS, stale=st.booleans(), twice=st.booleans())
    def look(self, random: Random, stale: bool, twice: bool) -> None:
        self.world.look(random, stale=stale, twice=twice)

    @precondition(lambda self: self.world.pending)
    @rule(index=INDEX, quota=st.sampled_from([False, False, False, True]), answered=st.booleans())
    def carry_out(self, index: int, quota: bool, answered: bool) -> None:
        self.world.carry_out(index, quota=quota, answered=answered)

    @precondition(lambda self: any(body.live for body in self.world.cluster.bodies.values()))
    @rule(index=INDEX)
    def advance(self, index: int) -> None:
        self.world.advance(index)

    @rule(seconds=st.integers(0, 30))
    def time_passes(self, seconds: int) -> None:
        self.world.seconds += seconds

    @rule()
    def send_status(self) -> None:
        self.world.send_status()

    @rule()
    def record_status(self) -> None:
        self.world.record_status()

    @rule(random=SEEDS, persisted=st.booleans())
    def crash(self, random: Random, persisted: bool) -> None:
        self.world.crash(random, persisted=persisted)

    @rule(index=INDEX)
    def clean_up(self, index: int) -> None:
        self.world.remove(index)

    @rule(index=INDEX)
    def steal(self, index: int) -> None:
        self.world.steal(index)

    @rule(suspend=st.booleans())
    def suspend(self, suspend: bool) -> None:
        self.world.settings = Settings(parallelism=self.world.parallelism, suspend=suspend)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()


TestAnythingMayHappen = AnythingMayHappen.TestCase
TestAnythingMayHappen.settings = settings(stateful_step_count=60)


@given(of=tasks(), parallelism=PARALLELISM)
def test_an_undisturbed_run_comes_to_the_end_of_the_reference(of: list[Task], parallelism: int | None) -> None:
    graph = graphs.build([node_of(task) for task in of])
    run = begin(graph, uid=UID, name=RUN, namespace="default", started_at=T0)
    ends = {task.name: task.ends for task in of}
    cluster = Cluster(lambda name, number: end_of(ends[name][min(number, len(ends[name])) - 1]))
    on = driven(Bench(graph, run, Settings(parallelism=parallelism)), cluster)
    expected = {name: told.phase for name, told in interpret(of).items()}
    assert {name: state.phase for name, state in on.run.nodes.items()} == expected


@given(of=tasks(), seed=st.integers(0, 2**16), shuffles=st.lists(SEEDS, min_size=2, max_size=4))
def test_a_plan_does_not_depend_on_the_order_of_its_facts(of: list[Task], seed: int, shuffles: list[Random]) -> None:
    """S11: a world in some middle state, rebuilt several times from the same facts in different orders."""
    world = World(of, None)
    steps = Random(seed)
    for _ in range(steps.randrange(40)):
        world.seconds += steps.randrange(10)
        while world.pending:
            world.carry_out(steps.randrange(50))
        world.advance(steps.randrange(50))
        if steps.random() < 0.5:
            world.look(steps)
    results = [_rebuilt(world, random) for random in shuffles]
    assert all(result == results[0] for result in results)


def _rebuilt(world: World, random: Random) -> tuple[object, ...]:
    run = world._rebuilt()
    facts: list[Event] = world._all_facts(run, random)
    planned = plan(world.graph, run, facts, Settings(parallelism=2), at(world.seconds))
    orders: list[Command] = [command for command in planned.commands if not isinstance(command, RecordEvent)]
    phases = {name: (state.phase, len(state.attempts)) for name, state in run.nodes.items()}
    return orders, planned.wake_at, sorted(map(str, planned.ended)), phases


@given(of=tasks(most=5))
def test_the_same_calls_give_the_same_plans(of: list[Task]) -> None:
    def told() -> list[object]:
        world = World([Task(**{**vars(task), "ends": [DONE]}) for task in of], 2)
        said: list[object] = []
        for step in range(10):
            while world.pending:
                world.carry_out(0)
            world.advance(step)
            said.append(world.look(Random(step)))
        return said

    assert told() == told()
