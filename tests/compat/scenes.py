"""What is recorded of a release: runs in every state, each at one moment, and what became of it afterwards.

A scene is played by the operator as it is shipped, in a cluster in memory. `pods` says what pods do, by the node and
number of their attempt (`b#1`), or by the node alone; `then` what somebody does once the operator is at work again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["SCENES", "Scene"]

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One run called `daily`. `seconds`: how long it has been going on when it is recorded."""

    spec: Json
    seconds: float
    pods: Mapping[str, Json] = field(default_factory=dict)
    templates: Mapping[str, Json] = field(default_factory=dict)
    before: tuple[Json, ...] = ()
    then: tuple[Json, ...] = ()


def pod(name: str, **more: Any) -> Json:
    return {"name": name, "container": {"image": "i"}, **more}


def chain(**spec: Any) -> Json:
    rows = [{"name": "rows", "type": "integer"}]
    return {
        "params": [{"name": "day", "type": "string", "default": "2026-11-22"}],
        "tasks": [
            pod("extract", outputs=rows),
            pod("load", needs=["extract"], when="${tasks.extract.outputs.rows > 0}", retry={"limit": 2}),
            {"name": "figure", "needs": ["load"], "set": {"values": [{"name": "x", "value": "${params.day}"}]}},
        ],
        **spec,
    }


ROWS = {"extract": {"message": '{"rows": 3}'}}
RETRY = {"action": {"action": "Retry"}}
SUB = {"tasks": [pod("inner")], "outputs": [{"name": "answer", "value": "${42}"}]}

SCENES: dict[str, Scene] = {
    "not seen yet": Scene(spec=chain(), seconds=0, pods=ROWS),
    "a task runs": Scene(spec=chain(), seconds=6, pods={**ROWS, "load": {"seconds": 60}}),
    "backing off": Scene(spec=chain(), seconds=8, pods={**ROWS, "load#1": {"exit_code": 1, "message": "no"}}),
    "suspended": Scene(spec=chain(suspend=True), seconds=5, pods=ROWS, then=({"edit": {"suspend": False}},)),
    "succeeded": Scene(spec=chain(), seconds=60, pods=ROWS),
    "failed": Scene(spec=chain(), seconds=120, pods={**ROWS, "load": {"exit_code": 1}}),
    "failed and retried": Scene(
        spec=chain(), seconds=130, pods={**ROWS, "load": {"exit_code": 1}, "load#4": {"seconds": 60}}, before=(RETRY,)
    ),
    "invalid": Scene(spec={"tasks": [pod("a", needs=["b"])]}, seconds=5),
    "stopped": Scene(
        spec=chain(),
        seconds=130,
        pods={**ROWS, "load": {"seconds": 500}},
        before=({"action": {"action": "Stop", "mode": "Graceful"}},),
    ),
    "a list": Scene(
        spec={
            "tasks": [
                pod("each", forEach={"in": [1, 2, 3, 4, 5, 6], "maxParallel": 2, "tolerate": {"count": 1}}),
                pod("last", needs=["each"]),
            ]
        },
        seconds=7,
        pods={"each[0]": {"exit_code": 1}, "each": {"seconds": 4}},
    ),
    "a round of several": Scene(
        spec={
            "tasks": [
                pod(
                    "again",
                    outputs=[{"name": "n", "type": "integer"}],
                    repeat={"until": "${iteration == 3}", "maxIterations": 5},
                )
            ]
        },
        seconds=5,
        pods={"again": {"message": '{"n": 1}', "seconds": 3}},
    ),
    "in shards": Scene(
        spec={
            "tasks": [
                pod("first"),
                pod("each", needs=["first"], forEach={"in": list(range(210)), "maxParallel": 70}),
                pod("last", needs=["each"]),
            ]
        },
        seconds=12,
        pods={"each": {"seconds": 5}},
    ),
    "finally": Scene(
        spec={"tasks": [pod("a")], "finally": [pod("tidy", required=True)]},
        seconds=10,
        pods={"a": {"exit_code": 1}, "tidy": {"seconds": 30}},
    ),
    "waiting": Scene(spec={"tasks": [{"name": "nap", "wait": {"seconds": 100}}, pod("b", needs=["nap"])]}, seconds=20),
    "an approval": Scene(
        spec={
            "tasks": [
                {"name": "ask", "approval": {"message": "Publish?", "timeoutSeconds": 100, "onTimeout": "Approve"}},
                pod("publish", needs=["ask"]),
            ]
        },
        seconds=20,
    ),
    "of a template": Scene(
        spec={"templateRef": {"name": "etl"}, "arguments": [{"name": "day", "value": "2026-11-23"}]},
        seconds=6,
        pods={**ROWS, "load": {"seconds": 60}},
        templates={"etl": chain(historyLimits={"succeeded": 5})},
    ),
    "with a sub-workflow": Scene(
        spec={
            "tasks": [
                {
                    "name": "sub",
                    "workflow": {"templateRef": {"name": "part"}},
                    "outputs": [{"name": "answer", "type": "integer"}],
                },
                pod("after", needs=["sub"]),
            ]
        },
        seconds=6,
        pods={"inner": {"seconds": 60}},
        templates={"part": SUB},
    ),
    "holding a key": Scene(
        spec=chain(concurrencyKey={"key": "${params.day}"}), seconds=6, pods={**ROWS, "load": {"seconds": 60}}
    ),
}
