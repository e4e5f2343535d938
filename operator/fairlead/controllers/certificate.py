"""The certificate of a server of ours, read from two files, and again when they have changed.

They are looked at with each new connection, which costs two `stat`: no watching, and no connection that gets an old
one. A pair that does not fit, as in the middle of a change, leaves the one before in use. There may be none yet: the
Secret that it comes from may be made later, and connections fail until then.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import TypeAlias

__all__ = ["ServingCertificate"]

log = logging.getLogger(__name__)

_Stamp: TypeAlias = tuple[tuple[int, int, int], ...]


class ServingCertificate:
    """A certificate chain and its key. `context` is for the server, for good."""

    def __init__(self, chain: Path, key: Path) -> None:
        self._files = (chain, key)
        self._stamp: _Stamp | None = None
        self._complaint = ""
        self._current: ssl.SSLContext | None = None
        self.context = _new_context()
        # Called for each connection, also where the client names no server. A context of its own for each pair: one
        # that has had a certificate keeps it beside a new one with a key of another type.
        self.context.sni_callback = self._choose
        self._refresh()

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int | None:
        self._refresh()
        if self._current is None:
            return ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None

    def _refresh(self) -> None:
        try:
            stamp = tuple((found.st_mtime_ns, found.st_ino, found.st_size) for found in map(Path.stat, self._files))
            if stamp == self._stamp:
                return
            context = _new_context()
            # A password, so that a key which needs one is refused and not asked about on a terminal.
            context.load_cert_chain(*self._files, password="")
        except OSError as error:  # of which SSLError is one
            self._complain(f"the certificate {self._files[0]} with the key {self._files[1]} cannot be used: {error}")
            return
        log.info("the certificate %s is %s", self._files[0], "in use" if self._current is None else "in use, renewed")
        self._stamp, self._current, self._complaint = stamp, context, ""

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            kept = "" if self._current is None else "; the one before stays in use"
            log.warning("%s%s", complaint, kept)
        self._complaint = complaint


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
