"""Sees to it that no task outlives this program, not even when it is killed with SIGKILL.

A small shell process in a session of its own reads the ids of process groups from a pipe. When the pipe's last
writer is gone, so is the program, however it ended; the guard then ends every group that is still on its list. It
works on any POSIX system, where Linux' `PR_SET_PDEATHSIG` would reach neither macOS nor a task's own children.

A task enters itself on the list before it becomes the task: it starts as a shell whose standard input is the
pipe (`REGISTERED`), so there is no moment at which it runs and the guard does not know.
"""

from __future__ import annotations

import os
import subprocess
from types import TracebackType
from typing import Self

__all__ = ["REGISTERED", "Guard"]

#: To be run as `/bin/sh -c REGISTERED sh COMMAND…`, with the guard's pipe as standard input.
REGISTERED = 'echo "$$" >&0 && exec "$@" </dev/null'

# SIGTERM first, as anywhere else, and up to two seconds to tidy up.
_SCRIPT = """
trap '' HUP INT QUIT TERM
groups=' '
while read -r line; do
  case $line in
    -*) left=${groups%%" ${line#-} "*}
        [ "$left" = "$groups" ] || groups="$left ${groups#*" ${line#-} "}" ;;
    *) groups="$groups$line " ;;
  esac
done
send() { sent=1; for group in $groups; do kill -s "$1" -- "-$group" 2>/dev/null && sent=0; done; return $sent; }
send TERM || exit 0
for _ in 1 2 3 4 5 6 7 8 9 10; do
  sleep 0.2
  send 0 || exit 0
done
send KILL
"""


class Guard:
    """The guard process of one run; a context manager."""

    def __init__(self) -> None:
        reader, self._writer = os.pipe()
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT],
                stdin=reader,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,  # a Ctrl-C at the terminal is for us, not for the guard
            )
        finally:
            os.close(reader)

    @property
    def pid(self) -> int:
        """The id of the guard's process."""
        return self._process.pid

    @property
    def pipe(self) -> int:
        """The file descriptor that a process started as `REGISTERED` has to get as its standard input."""
        return self._writer

    def forget(self, group: int) -> None:
        """Take an ended process group off the list, so that nothing else that gets its id is ended by mistake."""
        os.write(self._writer, f"-{group}\n".encode())

    def close(self) -> None:
        """End the guard; it ends what is still on its list first."""
        os.close(self._writer)
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
