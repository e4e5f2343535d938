"""The operator's webhook from outside: the certificate that it shows, and questions as the API server asks them."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from e2e.observe.load import NAMESPACE

__all__ = ["Webhook"]

Object = dict[str, Any]

_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where it listens, and the folder in which its certificate is."""

    port: int
    folder: Path

    @property
    def options(self) -> tuple[str, ...]:
        """What the operator has to be told."""
        where = ("--webhook-port", str(self.port))
        return (*where, "--webhook-cert", str(self.folder / "tls.crt"), "--webhook-key", str(self.folder / "tls.key"))

    def certify(self, days: int) -> None:
        """Give it a certificate that is good for so long from now on. It is read with the next question."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fairlead-observe")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(_HOST))]), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (self.folder / "tls.key").touch(mode=0o600)
        (self.folder / "tls.key").write_bytes(secret)
        (self.folder / "tls.crt").write_bytes(certificate.public_bytes(pem))

    def ask(self, definition: Object) -> None:
        """Ask about a new Workflow. Raises OSError where no answer comes, or none that the API server could read."""
        self._send(json.dumps(_review(definition)).encode())

    def send_nonsense(self) -> None:
        """Send something that it cannot read."""
        with suppress(urllib.error.HTTPError):  # 400
            self._send(b"{")

    def _send(self, body: bytes) -> None:
        url, headers = f"https://{_HOST}:{self.port}/validate", {"Content-Type": "application/json"}
        trust = ssl.create_default_context(cafile=str(self.folder / "tls.crt"))
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10, context=trust) as answer:
            answer.read()


def _review(definition: Object) -> Object:
    kind = {"group": "fairlead.dev", "version": "v1alpha1", "kind": "Workflow"}
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "00000000-0000-4000-8000-000000000000",
            "kind": kind,
            "resource": {"group": "fairlead.dev", "version": "v1alpha1", "resource": "workflows"},
            "operation": "CREATE",
            "namespace": NAMESPACE,
            "name": definition["metadata"]["name"],
            "userInfo": {"username": "somebody"},
            "object": definition,
            "oldObject": None,
        },
    }
