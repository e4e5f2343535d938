"""`make bench`: what Fairlead adds to the API server's own time, as ratios measured in one run.

Graphs of no-op tasks on simulated nodes, by Fairlead and by a bare driver that only creates pods and watches them;
alternating, several rounds, medians. Absolute times say something about the machine only; the ratios are the claim.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from e2e import dev_operator
from e2e.bench.engines import Bare, Engine, Fairlead
from e2e.bench.measure import Measured, measure, remove
from e2e.bench.plots import draw
from e2e.bench.replicated import replicated
from e2e.bench.shapes import SHAPES, SMALL_PLAYS, Shape
from e2e.bench.standing import idle, restart
from e2e.bench.table import dropped, judged, merged, over, table, told, unmeasured, verdict
from e2e.devcluster import api as dev_api
from e2e.devcluster import state
from e2e.devcluster.api import Api, Refusal
from e2e.kubectl import Cluster
from fairlead import __version__

_NAMESPACE = "fairlead-bench"

#: What the quick form measures.
_QUICK = ("chain-20", "wide-100", "layers-10x10")

#: What is measured of Fairlead alone, by name.
_STANDING: Mapping[str, Callable[[Fairlead], dict[str, Any]]] = {
    "restart-10000": lambda ours: restart(ours, _NAMESPACE, 10_000),
    "idle-10000": lambda ours: idle(ours, _NAMESPACE, 10_000),
    "replicas-100x20": lambda ours: replicated(ours, _NAMESPACE),
}


def play(api: Api, engines: Sequence[Engine], shape: Shape, rounds: int) -> dict[str, list[Measured]]:
    """Return what was measured of a shape, by engine, and by `small` what Fairlead made of the small shape beside it.

    The engines take turns at each play, so that what slows the machine down for a minute slows down all of them. They
    are started anew for each round, and warmed up.
    """
    # The second floor is for what has a limit; the others take long enough.
    compared = [engine for engine in engines if engine.name != "floor" or shape.limit is not None]
    found: dict[str, list[Measured]] = {engine.name: [] for engine in compared}
    if shape.small:
        found["small"] = []
    for number in range(1, rounds + 1):
        with ExitStack() as running:
            for engine in compared:
                engine.start()
                running.callback(engine.stop)
                measure(api, engine, _WARM_UP, _NAMESPACE)
            for _ in range(shape.plays):
                for engine in compared:
                    if shape.small and engine.name == "fairlead":
                        small = SHAPES[shape.small]
                        found["small"] += [measure(api, engine, small, _NAMESPACE) for _ in range(SMALL_PLAYS)]
                    measured = measure(api, engine, shape, _NAMESPACE)
                    found[engine.name].append(measured)
                    line = f"{shape.name} {number}/{rounds} {engine.name}: {_told(shape, measured)}"
                    print(line, file=sys.stderr, flush=True)
    return found


def _told(shape: Shape, measured: Measured) -> str:
    hop = f", {measured.hop * 1000:.1f} ms a hop" if measured.hops else ""
    cpu = f"{measured.cpu * 1000 / shape.pods:.2f} ms CPU a task"
    return f"{measured.seconds:.2f} s{hop}, {cpu}, {measured.megabytes:.0f} MB"


_WARM_UP = Shape("warm-up", SHAPES["chain-20"].tasks[:3])


def main() -> int:
    """Measure, print the table, write the result; fail where a budget is not met."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, help="of each shape (3, 2 of the quick ones)")
    parser.add_argument("--shape", action="append", choices=[*SHAPES, *_STANDING], help="only this one (repeatable)")
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(_QUICK)}, in under three minutes")
    parser.add_argument("--no-floor", action="store_true", help="without the driver that has finalizers and a status")
    parser.add_argument("--slack", type=float, default=1.0, help="how many times a budget may be used (%(default)s)")
    parser.add_argument("--add", action="store_true", help="keep what the output has of other shapes")
    parser.add_argument("--output", type=Path, default=Path("bench/results/latest.json"))
    arguments = parser.parse_args()
    rounds = (2 if arguments.quick else 3) if arguments.rounds is None else arguments.rounds
    if rounds < 1:
        parser.error("--rounds: there has to be one at least")
    if arguments.slack < 1:
        parser.error("--slack: 1 is the whole budget, more is lenient")
    names = arguments.shape or (_QUICK if arguments.quick else (*SHAPES, *_STANDING))
    cluster = Cluster.current()
    dev_operator.make_way()
    cluster.install_crds()
    api = dev_api.connect(state.layout())
    result: dict[str, Any] = {"shapes": [], "standing": {}}
    if arguments.add and arguments.output.exists():
        result = json.loads(arguments.output.read_text())
    problems = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ours = Fairlead(cluster, api, folder)
        engines: list[Engine] = [Bare(cluster, folder), ours]
        if not arguments.no_floor:
            engines.insert(1, Bare(cluster, folder, floor=True))
        remove(api, _NAMESPACE)
        for name in names:
            now: dict[str, Any] = {"machine": _machine(), "shapes": [], "standing": {}}
            try:
                if name in _STANDING:
                    now["standing"] = _STANDING[name](ours)
                else:
                    shape = replace(SHAPES[name], plays=1) if arguments.quick else SHAPES[name]
                    now["shapes"] = [judged(shape, partial(play, api, engines, shape, rounds), arguments.slack)]
            except (OSError, RuntimeError, Refusal) as error:
                problems.append(f"{name} could not be measured: {error}")
                print(problems[-1], file=sys.stderr, flush=True)
                result = dropped(result, name)
                continue
            result = merged(result, now)
            _keep(result, arguments.output)  # whoever stops it after an hour keeps what was measured
    found, standing = result["shapes"], result["standing"]
    drawn = draw(found, arguments.output.parent)
    if found:
        print(f"\n{table(found)}")
    print(f"\n{told(standing)}" if standing else "")
    print("".join(f"\n{each}" for each in drawn))
    problems += [f"over: {each}" for each in (*verdict(found, arguments.slack), *over(standing, arguments.slack))]
    kept = "all budgets are met" if arguments.slack == 1 else f"no budget is used more than {arguments.slack} times"
    if missing := unmeasured(result):
        kept = f"{kept}, of what was measured; not measured: {', '.join(missing)}"
    print("\n" + ("\n".join(problems) or kept))
    return bool(problems)


def _keep(result: dict[str, Any], output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n")


def _machine() -> dict[str, object]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(memory),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "fairlead": __version__,
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
    }


if __name__ == "__main__":
    sys.exit(main())
