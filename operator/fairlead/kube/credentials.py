"""Who we are to the API server: host, TLS, and a token that stays fresh."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp

__all__ = ["Credentials", "CredentialsError", "load_credentials", "open_session"]


class CredentialsError(Exception):
    """No usable credentials: the message says what was looked for and where."""


class Credentials:
    """One identity, shared by any number of sessions.

    Attributes:
        host: URL of the API server, without a trailing slash.
        namespace: what the kubeconfig context or the pod names as its own; None if neither does.
        ssl_context: None for plain http.
        proxy: URL of an HTTP proxy, or None. Proxy variables of the environment are not read.
        tls_server_name: name to verify in the server's certificate instead of the host's, or None.
    """

    host: str
    namespace: str | None
    ssl_context: ssl.SSLContext | None
    proxy: str | None
    tls_server_name: str | None


async def load_credentials(
    *, kubeconfig: str | Path | None = None, context: str | None = None, strict_x509: bool = True
) -> Credentials:
    """Find credentials: the given kubeconfig or context; else the pod's service account; else the default kubeconfig.

    Raises:
        CredentialsError: nothing usable was found.
    """
    raise NotImplementedError


def open_session(credentials: Credentials) -> aiohttp.ClientSession:
    """Open an HTTP session. May be called several times; the caller closes what it gets."""
    raise NotImplementedError
