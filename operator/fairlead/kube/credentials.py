"""Who we are to the API server: its host, TLS, and a token that stays fresh.

In a pod, the service account's files are read directly: that is all there is to it, and spares loading the
client library (see `_in_cluster`). A kubeconfig, with its exec plug-ins and OIDC, goes through the `kubernetes`
package, imported only then. Nothing is process-wide: no default configuration, no proxy from the environment.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from .asking import USER_AGENT
from .connection import keep_alive
from .lean_imports import bare_package

__all__ = ["Credentials", "CredentialsError", "load_credentials", "open_session"]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

# The kubelet rewrites a projected token long before it expires; client-go reads it again every minute as well
# (transport/token_source.go).
_TOKEN_SECONDS = 60.0
_PLUGIN_SECONDS = 60.0  # an exec plug-in may ask a person to log in, but not for ever


class CredentialsError(Exception):
    """No usable credentials: the message says what was looked for and where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What one reading of the source gave: where, and as whom.

    Attributes:
        host: URL of the API server.
        authorization: value of the Authorization header; None with client certificates only.
        namespace: the pod's own, or the kubeconfig context's.
        ca_file: None trusts the system's certificate authorities.
        cert_file, key_file: client certificate.
        verify: False skips the verification of the server's certificate.
        tls_server_name: the name to verify instead of the host's.
        proxy: URL of an HTTP proxy.
    """

    host: str
    authorization: str | None = None
    namespace: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True
    tls_server_name: str | None = None
    proxy: str | None = None


class Credentials:
    """One identity, shared by any number of sessions.

    Args:
        login: the first reading.
        read: reads the source again.
        max_age: seconds after which the source is read again before use; None waits for a 401.
        reload_interval: seconds between two readings at least: a 401 that new credentials do not cure must not
            start an exec plug-in for every request.
        strict_x509: False clears VERIFY_X509_STRICT, which Python ≥ 3.13 sets and some clusters' certificate
            authorities do not satisfy (a missing key-usage extension).
    """

    def __init__(
        self,
        login: Login,
        read: Callable[[], Awaitable[Login]],
        *,
        max_age: float | None = None,
        reload_interval: float = 5.0,
        strict_x509: bool = True,
    ) -> None:
        self._login = login
        self._read = read
        self._max_age = max_age
        self._reload_interval = reload_interval
        self._read_at = time.monotonic()
        self._lock = asyncio.Lock()
        self.ssl_context = _ssl_context(login, strict_x509) if login.host.startswith("https:") else None

    @property
    def host(self) -> str:
        """URL of the API server, without a trailing slash."""
        return self._login.host.rstrip("/")

    @property
    def namespace(self) -> str | None:
        """What the kubeconfig context or the pod names as its own."""
        return self._login.namespace

    @property
    def proxy(self) -> str | None:
        """URL of an HTTP proxy; the environment's proxy variables are not read."""
        return self._login.proxy

    @property
    def tls_server_name(self) -> str | None:
        """The name to verify in the server's certificate instead of the host's."""
        return self._login.tls_server_name

    async def authorization(self) -> str | None:
        """Value of the Authorization header, read again when it is older than the source allows."""
        if self._max_age is not None and time.monotonic() - self._read_at >= self._max_age:
            await self.reload(self._login.authorization)
        return self._login.authorization

    async def reload(self, used: str | None) -> bool:
        """Read the source again after the server refused; many requests may ask at once.

        Args:
            used: the Authorization value that was refused.

        Returns:
            Whether there is something new to try.
        """
        async with self._lock:
            if self._login.authorization != used:
                return True  # another request has done it meanwhile
            now = time.monotonic()
            if now - self._read_at < self._reload_interval:
                return False
            self._read_at = now
            try:
                login = await self._read()
            except CredentialsError:
                return False  # a source in the middle of a rewrite: what we have may still do
            if used is not None and login.authorization is None:
                return False  # an exec plug-in that failed: the loader only logs it
            renewed = login.authorization != used
            if (login.cert_file, login.key_file) != (self._login.cert_file, self._login.key_file):
                _load_client_certificate(self.ssl_context, login)  # counts for new connections
                renewed = True
            self._login = login
            return renewed


async def load_credentials(
    *, kubeconfig: str | Path | None = None, context: str | None = None, strict_x509: bool = True
) -> Credentials:
    """Find credentials: an explicit kubeconfig or context, else the pod's service account, else the default.

    Args:
        kubeconfig: a file, or several joined by ':' as in $KUBECONFIG.
        context: which of its contexts; None is its current one.
        strict_x509: see `Credentials`.

    Raises:
        CredentialsError: nothing usable was found.
    """
    if kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        login = await _in_cluster()
        return Credentials(login, _in_cluster, max_age=_TOKEN_SECONDS, strict_x509=strict_x509)

    files = str(kubeconfig or os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")

    async def read() -> Login:
        return await _kubeconfig(files, context)

    return Credentials(await read(), read, strict_x509=strict_x509)


def open_session(credentials: Credentials) -> aiohttp.ClientSession:
    """Open a session of aiohttp, which kopf wants; our own requests go over `session.Session`. The caller closes it.

    A request that is answered with 401 is sent once more if the source of the credentials has something new.
    """

    async def authenticate(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if credentials.tls_server_name and request.server_hostname is None:
            request.server_hostname = credentials.tls_server_name
        used = await credentials.authorization()
        if used is not None:
            request.headers["Authorization"] = used
        response = await handler(request)
        if response.status != 401 or not await credentials.reload(used):
            return response
        response.release()
        if (fresh := await credentials.authorization()) is not None:
            request.headers["Authorization"] = fresh
        return await handler(request)

    return aiohttp.ClientSession(
        base_url=credentials.host + "/",
        connector=aiohttp.TCPConnector(
            ssl=credentials.ssl_context or True,
            socket_factory=_socket,
            limit=0,  # the transport bounds requests; watches must never wait for a place
            keepalive_timeout=60,  # warm connections shorten a short chain; the server's own limit is 90 s
        ),
        headers={"User-Agent": USER_AGENT},
        middlewares=(authenticate,),
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=credentials.proxy,
        trust_env=False,
    )


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    keep_alive(made)
    return made


async def _in_cluster(directory: Path | None = None) -> Login:
    """Read the service account that Kubernetes mounts into every pod (client-go: rest.InClusterConfig)."""
    directory = directory or SERVICE_ACCOUNT
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        token = (directory / "token").read_text().strip()
    except OSError as error:
        raise CredentialsError(f"in a pod, but its service account token cannot be read: {error}") from error
    if not token:
        raise CredentialsError(f"the service account token {directory / 'token'} is empty")
    own = directory / "namespace"
    return Login(
        host=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        authorization=f"Bearer {token}",
        namespace=own.read_text().strip() if own.exists() else None,
        ca_file=str(directory / "ca.crt"),
    )


async def _kubeconfig(files: str, context: str | None) -> Login:
    # Imported only here, and as little of it as possible: the operator in a pod needs none of it.
    bare_package("kubernetes")
    bare_package("kubernetes.aio")
    from kubernetes.aio import config
    from kubernetes.aio.client import Configuration

    found = type.__call__(Configuration)  # a fresh one; calling the class would copy the process-wide default
    try:
        async with asyncio.timeout(_PLUGIN_SECONDS):
            loader = await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=files, context=context, client_configuration=found, persist_config=False
            )
        token = await found.get_api_key_with_prefix("BearerToken")
        namespace = loader.current_context["context"].get("namespace")
    except Exception as error:  # plug-ins and a malformed file raise anything
        raise CredentialsError(f"cannot use kubeconfig {files}: {error}") from error
    if found.proxy and not found.proxy.startswith("http://"):
        scheme = found.proxy.partition("://")[0]  # and no more of it: it may have a password
        raise CredentialsError(f"kubeconfig {files}: proxy-url: only http:// proxies are supported, not {scheme}://")
    return Login(
        host=found.host,
        authorization=token,
        namespace=namespace,
        ca_file=found.ssl_ca_cert,
        cert_file=found.cert_file,
        key_file=found.key_file,
        verify=found.verify_ssl,
        tls_server_name=found.tls_server_name,
        proxy=found.proxy,
    )


def _ssl_context(login: Login, strict_x509: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=login.ca_file)
        _load_client_certificate(context, login)
    except (OSError, ssl.SSLError) as error:
        raise CredentialsError(f"cannot use the certificates for {login.host}: {error}") from error
    if not login.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if not strict_x509:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _load_client_certificate(context: ssl.SSLContext | None, login: Login) -> None:
    if context is not None and login.cert_file:
        context.load_cert_chain(login.cert_file, login.key_file)
