"""What is set of the process's memory before anything starts, each in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_HEAPS = """
import ctypes, sys, threading
from fairlead.controllers.heap import share_one_heap

if sys.argv[1] == "shared":
    share_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
threads = [threading.Thread(target=libc.malloc, args=[1000]) for _ in range(3)]
for each in threads:
    each.start()
for each in threads:
    each.join()
libc.fopen.restype = ctypes.c_void_p
stdout = libc.fopen(b"/dev/stdout", b"w")
libc.malloc_info(0, ctypes.c_void_p(stdout))
libc.fclose(ctypes.c_void_p(stdout))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives each thread a heap of its own")
def test_all_threads_share_one_heap() -> None:
    assert _heaps("shared") == 1
    assert _heaps("as it comes") > 1, "there is nothing to share: this test could not fail"


def test_garbage_is_looked_for_after_ten_thousand_objects_and_not_among_imports() -> None:
    code = """
import gc
from fairlead.controllers.heap import look_for_garbage_less_often
look_for_garbage_less_often()
print(gc.get_threshold()[0], gc.get_freeze_count() > 1000)
"""
    assert _run(code) == "10000 True\n"


def _heaps(how: str) -> int:
    return _run(_HEAPS, how).count("<heap nr=")


def _run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
