"""`python -m tests.fuzz [--seconds 60] [TARGET …]`: atheris on each target, from its seeds, guided by coverage.

Each target has a process of its own, as atheris ends with it. What breaks one is printed, and kept in `.cache/fuzz`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

CORPUS = Path(".cache/fuzz")
MEMORY_MB = 1024
#: One input that takes longer is as good as one that breaks.
SLOW_SECONDS = 10


def main() -> int:
    """Fuzz the targets one after the other. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _fuzz(arguments.targets[0], arguments.seconds)
        return 0
    from tests.fuzz.targets import TARGETS

    unknown = set(arguments.targets) - TARGETS.keys()
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    broken = [name for name in arguments.targets or TARGETS if not _run(name, arguments.seconds)]
    print(f"broken: {', '.join(broken)}" if broken else "nothing broke")
    return 1 if broken else 0


def _run(name: str, seconds: int) -> bool:
    print(f"=== {name}, {seconds} s", flush=True)
    command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(seconds), "--child"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    print("\n".join(lines[-1:] if done.returncode == 0 else lines[-40:]), flush=True)
    return done.returncode == 0


def _fuzz(name: str, seconds: int) -> None:
    import atheris

    # The engine and what reads texts, not the libraries: they would take most of the time.
    with atheris.instrument_imports(include=["fairlead"]):
        from tests.fuzz.targets import SEEDS, TARGETS

    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = (f"-max_total_time={seconds}", f"-timeout={SLOW_SECONDS}", f"-rss_limit_mb={MEMORY_MB}")
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={CORPUS}/{name}-", str(corpus)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
