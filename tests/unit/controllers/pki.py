"""A certificate authority of the tests' own, and what it issues."""

from __future__ import annotations

import ssl
from pathlib import Path

from e2e.devcluster.certificates import Identity, authority_command, issue_command
from e2e.devcluster.progress import run

__all__ = ["Authority"]


class Authority:
    """Issues certificates for loopback into a directory: `NAME.crt` and `NAME.key`, and its own, `ca.crt`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        run(authority_command(root, "/CN=tests"))

    def issue(self, name: str, key_type: str = "ec") -> None:
        command = issue_command(self.root, Identity(name, f"/CN={name}", ("IP:127.0.0.1", "DNS:localhost")))
        if key_type != "ec":
            at = command.index("ec")  # followed by -pkeyopt and the curve
            command[at : at + 3] = [key_type]
        run(command)

    def trust(self) -> ssl.SSLContext:
        """What a client needs that believes it."""
        return ssl.create_default_context(cafile=str(self.root / "ca.crt"))
