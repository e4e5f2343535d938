"""What a process costs, told by the kernel."""

from __future__ import annotations

import os
import time

from e2e.bench.process import cpu_seconds


def test_the_cpu_time_of_a_process_is_counted_finer_than_hundredths_of_a_second() -> None:
    first = cpu_seconds(os.getpid())
    deadline = time.monotonic() + 10
    while (later := cpu_seconds(os.getpid())) == first and time.monotonic() < deadline:
        pass
    assert 0 < later - first < 0.01
