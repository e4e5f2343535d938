"""A way to the API server that can be made slow, or shut: faults of the network, from outside the operator."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Self

__all__ = ["Proxy"]

_CHUNK = 1 << 16


class Proxy:
    """Passes bytes on between 127.0.0.1:`port` and the API server, until the end of the block.

    Attributes:
        delay: seconds for which each piece of an answer is held back.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.delay = 0.0
        self._shut = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Begin to listen."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.shut()
        self._listener.close()

    def shut(self) -> None:
        """Let nobody through, and end what is open."""
        self._shut = True
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def reopen(self) -> None:
        """Let everybody through again, at full speed."""
        self._shut, self.delay = False, 0.0

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._shut:
                client.close()
                continue
            try:
                server = socket.create_connection(self._target, timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._open |= {client, server}
            threading.Thread(target=self._pass_on, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(server, client, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(_CHUNK):
                if is_answer and self.delay:
                    time.sleep(self.delay)
                sink.sendall(piece)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open -= {source, sink}
        if is_answer:
            source.close()
            sink.close()
