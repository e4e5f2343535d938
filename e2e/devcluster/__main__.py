"""The command line: `python -m e2e.devcluster up|down|status|env|restart`."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from e2e.devcluster import binaries, builds, clearing, cluster, existing, processes, state
from e2e.devcluster.progress import Failure, say


def main() -> int:
    """Run one command; failures are told, not traced."""
    arguments = _parser().parse_args()
    try:
        return int(arguments.run(arguments) or 0)
    except Failure as failure:
        print(f"devcluster: {failure}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # the reader (`| head`) has gone: nobody is left to tell
        return 0
    except KeyboardInterrupt:
        print("devcluster: interrupted; `make cluster-down` clears what was started", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m e2e.devcluster", description=__doc__)
    commands = parser.add_subparsers(required=True)
    up = commands.add_parser("up", help="start the cluster, or say that it is up")
    up.add_argument("--kwok-nodes", type=int, default=0, metavar="N", help="have N simulated nodes as well")
    up.add_argument("--no-node", action="store_true", help="control plane only (needs no root)")
    up.set_defaults(run=_up)
    commands.add_parser("down", help="stop it and clear the machine").set_defaults(run=_down)
    commands.add_parser("status", help="say what runs, and where things are").set_defaults(run=_status)
    commands.add_parser("env", help="print export lines for `eval`").set_defaults(run=_env)
    image = commands.add_parser("image", help="build a Dockerfile and give the image to the node")
    image.add_argument("--name", required=True)
    image.add_argument("--dockerfile", type=Path, required=True)
    image.add_argument("--context", type=Path, required=True)
    image.add_argument("--requirements", type=Path, action="append", default=[], metavar="FILE")
    image.add_argument("--wheel-folder", default="wheels", help="folder of the context that gets the wheels")
    image.set_defaults(run=_image)
    several = commands.add_parser("images", help="have images of this repository on the node")
    several.add_argument("names", nargs="*", default=["python"], choices=("python", *builds.catalogue()))
    several.set_defaults(run=_images)
    program = commands.add_parser("program", help="have a program (helm, kwok, ...) on the cluster's PATH")
    program.add_argument("names", nargs="+", choices=[name for c in binaries.COMPONENTS for name in c.programs])
    program.set_defaults(run=_program)
    restart = commands.add_parser("restart", help="stop and start one component")
    restart.add_argument("component")
    restart.set_defaults(run=_restart)
    return parser


def _up(arguments: argparse.Namespace) -> None:
    at = state.layout()
    if named := existing.named():
        for line in existing.check(existing.kubeconfig(at, named)):
            say(line)
        return
    begun = time.monotonic()
    with state.exclusive(at, "up"):
        before = state.load(at)
        after = cluster.up(at, kwok_nodes=arguments.kwok_nodes, with_node=not arguments.no_node)
    if before == after:
        say(f"already up: {_describe(after)} (`make cluster-status` for more)")
    else:
        say(f"up in {time.monotonic() - begun:.1f} s: {_describe(after)}")
        say('eval "$(make -s cluster-env)" sets KUBECONFIG and PATH')


def _describe(record: state.Cluster) -> str:
    node = "one real node" if record.node else "no real node"
    simulated = f", {record.kwok_nodes} simulated" if record.kwok_nodes else ""
    return f"Kubernetes {record.kubernetes}, {node}{simulated}, at {record.server}"


def _down(arguments: argparse.Namespace) -> None:
    at = state.layout()
    if existing.named():
        raise Failure("CLUSTER_KUBECONFIG names a cluster of yours: it is never stopped from here")
    with state.exclusive(at, "down"):
        record = _record_or_none(at)
        clearing.clear(at, record, keep_results=True)
    say(f"down; logs and volumes stay in {at.root} until the next start")


def _record_or_none(at: state.Layout) -> state.Cluster | None:
    try:
        return state.load(at)
    except Failure as failure:
        say(f"{failure}; clearing what carries our name")
        return None


def _status(arguments: argparse.Namespace) -> int:
    at = state.layout()
    if named := existing.named():
        print("\n".join(existing.check(existing.kubeconfig(at, named))))
        return 0
    record = state.load(at)
    if record is None:
        print("down")
        return 1
    alive = {name: processes.alive(process) for name, process in record.processes.items()}
    phase = record.phase if all(alive.values()) else "damaged: `make cluster-up` mends it"
    print(f"{phase}: {_describe(record)}")
    for name, process in record.processes.items():
        print(f"  {name:20} {'running' if alive[name] else 'DEAD':8} pid {process.pid:<8} {process.log}")
    print(f"  kubeconfig  {record.kubeconfig}\n  audit log   {record.audit_log}\n  volumes     {record.volumes}")
    return 0 if phase == "up" else 1


def _env(arguments: argparse.Namespace) -> None:
    at = state.layout()
    if named := existing.named():
        print(f"export KUBECONFIG={shlex.quote(str(existing.kubeconfig(at, named)))}")
        return
    record = state.load(at)
    if record is None:
        raise Failure("the cluster is down", "`make cluster-up` starts it")
    print(f"export KUBECONFIG={shlex.quote(record.kubeconfig)}")
    print(f'export PATH={shlex.quote(record.bin_dir)}:"$PATH"')


def _image(arguments: argparse.Namespace) -> None:
    recipe = builds.Recipe(
        arguments.name,
        arguments.dockerfile,
        arguments.context.resolve(),
        tuple(arguments.requirements),
        arguments.wheel_folder,
    )
    builds.build_image(state.layout(), recipe)
    say(f"{builds.full_name(arguments.name)} is on the node")


def _images(arguments: argparse.Namespace) -> None:
    if existing.named():
        say("images: a cluster of your own gets them from its registry")
        return
    at = state.layout()
    for name in arguments.names:
        if name == "python":
            builds.give_python(at)
        else:
            builds.build_image(at, builds.catalogue()[name])
        say(f"{name}: on the node")


def _program(arguments: argparse.Namespace) -> None:
    at = state.layout()
    for name, path in binaries.ensure(arguments.names).items():
        if at.bin.exists() and name in ("helm", "kubectl"):  # what a user calls, and not the servers
            cluster.link_program(at, name, path)
        print(path)


def _restart(arguments: argparse.Namespace) -> None:
    at = state.layout()
    with state.exclusive(at, "restart"):
        record = state.load(at)
        if record is None:
            raise Failure("the cluster is down", "`make cluster-up` starts it")
        cluster.restart(at, record, arguments.component)


if __name__ == "__main__":
    sys.exit(main())
