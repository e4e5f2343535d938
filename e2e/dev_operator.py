"""The operator beside the dev cluster: `python -m e2e.dev_operator start|stop|status`.

It runs this checkout's code as an ordinary process, so that a workflow can be applied right after `make cluster-up`.
Stopping needs nothing but the standard library: `make cluster-down` works without the Python environment.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from dataclasses import asdict
from pathlib import Path

from e2e.devcluster import existing, processes, state
from e2e.devcluster.progress import Failure, say, wait_until
from e2e.kubectl import Cluster, CommandFailed

__all__ = ["make_way", "start", "stop", "waiting_for"]

PORT = 26480


def start() -> None:
    """Install the CRDs and start it, in place of one that runs: that one may be of older code."""
    at = state.layout()
    stop()
    Cluster.current().install_crds()
    named = existing.named()
    kubeconfig = existing.kubeconfig(at, named) if named else at.kubeconfig
    log = at.logs / "operator.log"
    argv = [sys.executable, "-m", "fairlead.controllers", "--kubeconfig", str(kubeconfig)]
    argv += ["--listen", "127.0.0.1", "--port", str(PORT), "--log-format", "json"]
    process = processes.start(argv, log=log)
    _record().write_text(json.dumps(asdict(process)))

    def answers() -> bool:
        processes.must_live("the operator", process)
        return bool(waiting_for() is not None)

    wait_until("the operator to answer", answers, seconds=30, log=log)
    missing = waiting_for()
    say(f"operator started (log: {log})" + (f"; {missing}" if missing else ""))


def stop() -> bool:
    """Stop it if it runs. Returns whether it did."""
    record = _record()
    if not record.exists():
        return False
    raw = json.loads(record.read_text())
    process = state.Process(**{**raw, "argv": tuple(raw["argv"])})
    running = processes.alive(process)
    processes.stop(process)
    record.unlink()
    return running


def make_way() -> None:
    """Stop it for tests that bring their own operator, or none."""
    if stop():
        say("stopped the operator beside the dev cluster: the tests need it out of the way (make cluster-up)")


def waiting_for() -> str | None:
    """What the operator waits for; "" when it is ready, None when it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/readyz", timeout=2) as answer:
            checks = json.load(answer)
    except urllib.error.HTTPError as error:
        checks = json.loads(error.read())
    except OSError:
        return None
    return "; ".join(str(check) for check in checks.values() if check != "ok")


def _record() -> Path:
    return state.layout().root / "operator.json"


def main() -> int:
    """Run one command."""
    command = sys.argv[1] if len(sys.argv) == 2 else ""
    try:
        match command:
            case "start":
                start()
            case "stop":
                say("operator stopped" if stop() else "no operator was running")
            case "status":
                missing = waiting_for()
                say("operator: not running" if missing is None else f"operator: {missing or 'ready'}")
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except (Failure, CommandFailed, TimeoutError) as failure:
        print(f"operator: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
