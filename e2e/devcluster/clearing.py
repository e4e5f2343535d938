"""Clear what a cluster of this state directory left on the machine, however it ended.

Order matters: our processes, then every container (found by its cgroup, since a killed containerd forgets them),
then mounts and the files. Only things that carry our names are touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from e2e.devcluster import network, processes
from e2e.devcluster.progress import run, say, wait_until
from e2e.devcluster.state import Cluster, Layout

# The place that every kubelet uses, whatever its root directory is.
_PLUGIN_SOCKET = Path("/var/lib/kubelet/device-plugins/kubelet.sock")
_CGROUPS = Path("/sys/fs/cgroup")
# The kubelet is first, so that it does not restart what is killed after it; etcd is last.
_ORDER = ("volumes", "kwok", "kubelet", "kube-proxy", "containerd", "scheduler", "controller-manager", "apiserver")
# What the user may still want to look at afterwards; the next start clears these, too.
_KEPT = frozenset({"logs", "audit", "volumes", "lock"})


def clear(at: Layout, cluster: Cluster | None, *, keep_results: bool) -> None:
    """Stop and remove everything. With `keep_results`, logs, audit log and volumes stay to be looked at."""
    if cluster is not None:
        _stop_processes(cluster)
        if cluster.node and os.geteuid() == 0:
            _forget_service_rules(cluster, at)
            network.tear_down()
    if os.geteuid() == 0:
        _stop_containers(at)
        _unmount(at.root)
        for link in _dangling_log_links(at):
            link.unlink(missing_ok=True)
        _remove_plugin_directory()
    for entry in sorted(at.root.iterdir()) if at.root.exists() else ():
        if entry.name == "lock" or (keep_results and entry.name in _KEPT):
            continue
        _remove(entry)


def _stop_processes(cluster: Cluster) -> None:
    known = [name for name in _ORDER if name in cluster.processes]
    for name in known + [name for name in cluster.processes if name not in _ORDER]:
        # Nothing of it is kept: a server that waits for its watchers to leave need not be waited for.
        processes.stop(cluster.processes[name], seconds=2.0)


def _forget_service_rules(cluster: Cluster, at: Layout) -> None:
    """kube-proxy takes its own iptables chains away again; a failure here only leaves rules that match nothing."""
    program = cluster.binaries.get("kube-proxy")
    if program and Path(program).exists():
        config = at.config / "proxy.json"
        command = [program, "--cleanup", *([f"--config={config}"] if config.exists() else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            say(f"kube-proxy --cleanup ended with {done.returncode}: {done.stderr.strip()[-200:]}")


def _stop_containers(at: Layout) -> None:
    """Kill the shims of our containerd and every process in our cgroup, then remove the cgroup."""
    for pid in _processes_with_argument(str(at.containerd_socket), "containerd-shim"):
        _kill(pid)

    def emptied() -> bool:
        remaining = {pid for group in _groups(at.cgroup) for pid in _members(group)}
        for pid in remaining:
            _kill(pid)
        return not remaining

    wait_until("the containers to end", emptied, seconds=20)

    def removed() -> bool:
        for group in _groups(at.cgroup):
            try:
                group.rmdir()
            except OSError:  # busy for a moment after its last process ended
                continue
        return not list(_groups(at.cgroup))

    wait_until("the containers' cgroups to be removed", removed, seconds=20)


def make_cgroup(cgroup: str) -> None:
    """Make our group in every hierarchy: the kubelet wants it to be there."""
    for hierarchy in _hierarchies():
        group = hierarchy / cgroup
        group.mkdir(exist_ok=True)
        for knob in ("cpuset.cpus", "cpuset.mems"):
            # In version 1 a new cpuset is empty, and nothing can run in it until it is filled.
            if (group / knob).exists() and not (group / knob).read_text().strip():
                (group / knob).write_text((hierarchy / knob).read_text())


def _hierarchies() -> list[Path]:
    """The one of version 2, or each of version 1."""
    if (_CGROUPS / "cgroup.procs").exists():
        return [_CGROUPS]
    return [child for child in sorted(_CGROUPS.iterdir()) if child.is_dir() and not child.is_symlink()]


def _groups(cgroup: str) -> Iterator[Path]:
    """Our groups, the innermost first."""
    for hierarchy in _hierarchies():
        for directory, _, _ in os.walk(hierarchy / cgroup, topdown=False):
            yield Path(directory)


def _members(group: Path) -> list[int]:
    try:
        return [int(line) for line in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _processes_with_argument(argument: str, program: str) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if Path(argv[0]).name.startswith(program) and argument in argv[1:]:
            yield int(entry.name)


def mounts_below(mountinfo: str, root: Path) -> list[str]:
    """The mount points below a directory, the innermost first (later ones may lie on earlier ones)."""
    points = [_unescape(line.split()[4]) for line in mountinfo.splitlines()]
    return [point for point in reversed(points) if Path(point).is_relative_to(root)]


def _unescape(path: str) -> str:
    """Undo the kernel's octal escapes of white space and of the backslash."""
    return path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def _unmount(root: Path) -> None:
    for point in mounts_below(Path("/proc/self/mountinfo").read_text(), root):
        # Lazily: what a dying process still holds goes away with it.
        run(["umount", "--lazy", point])


def _dangling_log_links(at: Layout) -> Iterator[Path]:
    """The kubelet's links in /var/log/containers that point into our state directory."""
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and Path(os.readlink(link)).is_relative_to(at.root):
            yield link


def _remove_plugin_directory() -> None:
    """The kubelet makes this one whatever its root directory is. Another kubelet's answers, and stays."""
    if other_kubelet():
        return
    _PLUGIN_SOCKET.unlink(missing_ok=True)
    for empty in (_PLUGIN_SOCKET.parent, _PLUGIN_SOCKET.parent.parent):
        try:
            empty.rmdir()
        except OSError:
            return


def other_kubelet() -> bool:
    """Whether a kubelet answers on this machine, when ours is known not to run."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(_PLUGIN_SOCKET))
        except OSError:
            return False
    return True


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
