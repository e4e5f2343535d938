from __future__ import annotations

from fairlead.kube.event_queue import EventQueue, Pending
from fairlead.kube.transport import JsonObject


def event(namespace: str, name: str) -> JsonObject:
    return {"metadata": {"namespace": namespace, "name": name}}


def queue_of(*names: str) -> EventQueue:
    """A queue of Events such as `a/1`, whose first pause is ten seconds."""
    queue = EventQueue(10.0)
    for each in names:
        namespace, _, name = each.partition("/")
        queue.add(event(namespace, name))
    return queue


def name_of(pending: Pending | None) -> str:
    return "" if pending is None else f"{pending.namespace}/{pending.event['metadata']['name']}"


def taken(queue: EventQueue, now: float = 0.0) -> Pending:
    pending = queue.next(now)
    assert pending is not None
    return pending


def test_namespaces_take_turns_and_each_keeps_its_order() -> None:
    queue, order = queue_of("a/1", "a/2", "a/3", "b/1", "c/1"), []
    while (pending := queue.next(0.0)) is not None:
        order.append(name_of(pending))
        queue.done(pending)
    assert order == ["a/1", "b/1", "c/1", "a/2", "a/3"]
    assert len(queue) == 0


def test_what_comes_to_nothing_sets_its_namespace_aside_for_longer_each_time() -> None:
    queue, now = queue_of("a/1", "a/2"), 0.0
    for pause in (10.0, 20.0, 40.0, 80.0, 80.0):
        pending = taken(queue, now)
        assert name_of(pending) == "a/1"
        queue.put_back(pending, now)
        assert len(queue) == 2
        assert queue.due == now + pause
        assert queue.next(now + pause - 0.1) is None
        now += pause
    queue.done(taken(queue, now))
    queue.put_back(taken(queue, now), now)
    assert queue.due == now + 10.0, "it was answered in between"


def test_others_go_on_meanwhile() -> None:
    queue = queue_of("a/1", "b/1")
    queue.put_back(taken(queue), 0.0)
    queue.add(event("a", "2"))
    pending = taken(queue)
    assert name_of(pending) == "b/1"
    queue.done(pending)
    assert queue.next(1.0) is None


def test_what_is_given_up_leaves_its_namespace_aside() -> None:
    queue = queue_of("a/1", "a/2")
    queue.give_up(taken(queue), 0.0)
    assert queue.next(0.0) is None
    assert name_of(queue.next(10.0)) == "a/2"


def test_in_a_hurry_nobody_is_left_aside() -> None:
    queue = queue_of("a/1", "b/1")
    queue.put_back(taken(queue), 0.0)
    queue.hurry()
    assert sorted([name_of(queue.next(0.0)), name_of(queue.next(0.0))]) == ["a/1", "b/1"]


def test_what_is_dropped_is_counted() -> None:
    queue = queue_of("a/1", "a/2", "b/1")
    pending = taken(queue)
    assert queue.clear() == 2
    queue.done(pending)
    assert queue.next(0.0) is None
    queue.add(event("b", "2"))
    assert name_of(queue.next(0.0)) == "b/2"
