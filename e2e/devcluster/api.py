"""A very small client of the dev cluster's own API server: JSON over TLS with the standard library.

The start-up and the volume provisioner need a dozen requests; a real client would need a virtual environment first.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.devcluster.progress import Failure
from e2e.devcluster.state import API_PORT, Layout

Object = dict[str, Any]


class Refusal(Exception):
    """The server answered, and it was no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Api:
    """Address and credentials."""

    host: str
    port: int
    context: ssl.SSLContext

    def request(
        self,
        verb: str,
        path: str,
        body: Object | None = None,
        kind: str = "application/json",
        accept: str = "application/json",
        timeout: float = 15,
    ) -> Any:
        """One request, one decoded answer. Raises `Refusal`, or OSError where there is no answer."""
        connection = self._connect(timeout)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(verb, path, payload, {"Content-Type": kind, "Accept": accept})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status >= 300:
            raise Refusal(response.status, _message(text))
        return json.loads(text) if text.startswith(("{", "[")) else text

    def table(self, path: str) -> Object:
        """The objects as kubectl shows them: `columnDefinitions`, and `rows` with their `cells`."""
        found: Object = self.request("GET", path, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        return found

    def ensure(self, path: str, body: Object) -> None:
        """Create an object; one that is there already is left as it is."""
        try:
            self.request("POST", path, body)
        except Refusal as refusal:
            if refusal.status != 409:
                raise

    def exists(self, path: str) -> bool:
        """Whether an object is there. No answer, and one of a server that is still starting, mean no."""
        try:
            self.request("GET", path)
        except (Refusal, OSError, http.client.HTTPException):
            return False
        return True

    def watch(self, path: str, resource_version: str, seconds: int) -> Iterator[Object]:
        """The events after a version, until the server closes the stream after so many seconds."""
        connection = self._connect(timeout=seconds + 15)
        try:
            connection.request("GET", f"{path}?watch=1&resourceVersion={resource_version}&timeoutSeconds={seconds}")
            response = connection.getresponse()
            if response.status != 200:
                raise Refusal(response.status, _message(response.read().decode()))
            for line in response:
                yield json.loads(line)
        finally:
            connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.context)


def connect(at: Layout) -> Api:
    """The API server of this state directory, as the dev cluster's own administrator.

    A name of its own in the audit log: what the machinery does is told from what a test's user does.
    """
    return Api("127.0.0.1", API_PORT, _context(at.pki))


def _context(pki: Path) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(str(pki / "devcluster.crt"), str(pki / "devcluster.key"))
    except OSError as error:
        raise Failure(f"the cluster's certificates cannot be read: {error}") from error
    return context


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:500]
