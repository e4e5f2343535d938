"""A limit on the CPU time of one process, as a Deployment's `resources.limits.cpu` sets it: a control group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["limited"]

_ROOT = Path("/sys/fs/cgroup")

#: Short, so that a process that has used up its share is not away for long at a time.
_PERIOD_MICROSECONDS = 20_000

#: The least that the kernel takes as a quota.
_LEAST_MICROSECONDS = 1_000


@contextmanager
def limited(pid: int, cpus: float) -> Iterator[None]:
    """Let a process use so many CPUs, 0.15 for instance, until the block ends or it does.

    Raises:
        OSError: there are no control groups here, or they are not ours to make; as root they are.
    """
    period = max(_PERIOD_MICROSECONDS, round(_LEAST_MICROSECONDS / cpus))
    quota = round(cpus * period)
    second = (_ROOT / "cgroup.controllers").exists()
    root = _ROOT if second else _ROOT / "cpu"
    group = root / f"fairlead-quota-{pid}"
    group.mkdir()
    try:
        if second:
            (root / "cgroup.subtree_control").write_text("+cpu")
            (group / "cpu.max").write_text(f"{quota} {period}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(period))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        if Path(f"/proc/{pid}").exists():
            (root / "cgroup.procs").write_text(str(pid))
        group.rmdir()
