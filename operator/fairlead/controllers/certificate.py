"""The certificate of a server of ours, which may change while it serves; from two files, or from whoever makes it.

Files are looked at with each new connection, which costs two `stat`: no watching, and no connection that gets an old
certificate. A pair that does not fit, as in the middle of a change, leaves the one before in use. There may be none:
the Secret that it comes from may be made later, and connections fail until then.
"""

from __future__ import annotations

import logging
import ssl
import tempfile
from pathlib import Path
from typing import TypeAlias

from .options import OperatorOptions

__all__ = ["CertificateFiles", "ServingCertificate", "serving_certificate"]

log = logging.getLogger(__name__)

_Stamp: TypeAlias = tuple[tuple[int, int, int], ...]


class ServingCertificate:
    """A certificate chain and its key, the ones of the last `use`. `context` is for the server, for good.

    Attributes:
        expires_at: when it does, in seconds since 1970; 0.0 while there is none.
    """

    def __init__(self) -> None:
        self.expires_at = 0.0
        self._current: ssl.SSLContext | None = None
        self.context = _new_context()
        # Called for each connection, also where the client names no server. A context of its own for each pair: one
        # that has had a certificate keeps it beside a new one with a key of another type.
        self.context.sni_callback = self._choose

    def use(self, chain: bytes, key: bytes) -> None:
        """Show this certificate (PEM) from now on. Raises `ssl.SSLError` where the key is not its own."""
        with tempfile.TemporaryDirectory() as folder:  # Python reads certificates from files only
            paths = (Path(folder, "chain"), Path(folder, "key"))
            for path, text in zip(paths, (chain, key), strict=True):
                path.touch(mode=0o600)
                path.write_bytes(text)
            self._load(*paths)

    def refresh(self) -> None:
        """Look whether there is another one; called before each connection."""

    def expiry(self) -> float:
        """Return when that of the next connection expires: one that is new may not have been asked for yet."""
        self.refresh()
        return self.expires_at

    def _load(self, chain: Path, key: Path) -> None:
        context = _new_context()
        # A password, so that a key which needs one is refused and not asked about on a terminal.
        context.load_cert_chain(chain, key, password="")
        self.expires_at = _expiry(chain.read_bytes())
        self._current = context

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int | None:
        self.refresh()
        if self._current is None:
            return ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None


class CertificateFiles(ServingCertificate):
    """One that is read from two files, again when they have changed."""

    def __init__(self, chain: Path, key: Path) -> None:
        super().__init__()
        self._files = (chain, key)
        self._stamp: _Stamp | None = None
        self._complaint = ""
        self.refresh()

    def refresh(self) -> None:
        """Read the files if they have changed."""
        first = self._current is None
        try:
            stamp = tuple((found.st_mtime_ns, found.st_ino, found.st_size) for found in map(Path.stat, self._files))
            if stamp == self._stamp:
                return
            self._load(*self._files)
        except (OSError, ValueError) as error:  # SSLError is an OSError
            self._complain(f"the certificate {self._files[0]} with the key {self._files[1]} cannot be used: {error}")
            return
        log.info("the certificate %s is %s", self._files[0], "in use" if first else "in use, renewed")
        self._stamp, self._complaint = stamp, ""

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            kept = "" if self._current is None else "; the one before stays in use"
            log.warning("%s%s", complaint, kept)
        self._complaint = complaint


def _expiry(chain: bytes) -> float:
    from cryptography import x509  # 8 MB that only an operator with a webhook needs

    return x509.load_pem_x509_certificate(chain).not_valid_after_utc.timestamp()


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def serving_certificate(options: OperatorOptions) -> ServingCertificate | None:
    """Return the certificate of the webhook as the options say; None where it is to be plain HTTP."""
    if options.webhook_keeping is not None:
        return ServingCertificate()
    if options.webhook_cert is None or options.webhook_key is None:
        return None
    return CertificateFiles(options.webhook_cert, options.webhook_key)
