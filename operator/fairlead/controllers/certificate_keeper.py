"""The webhook's certificate where nobody else provides it: made and renewed here, and told to the API server.

All replicas keep the same Secret, each for itself: it is written with its version as the precondition, so that of
several that would renew it one does, and the others read what that one wrote. Whom to believe is written to the
configuration of the webhook from what the Secret says, never from anything else.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from typing import Any

from fairlead.clock import utc_now
from fairlead.kube.errors import ApiError, Conflict
from fairlead.kube.resources import SECRETS, VALIDATING_WEBHOOKS
from fairlead.kube.transport import ApiClient, PatchType

from .certificate import ServingCertificate
from .options import CertificateKeeping

__all__ = ["CertificateKeeper"]

log = logging.getLogger(__name__)

_LOOK_SECONDS = 60.0
_RETRY_SECONDS = 5.0


class CertificateKeeper:
    """Keeps `certificate` as `keeping` says; run it as long as the webhook is served."""

    def __init__(self, client: ApiClient, keeping: CertificateKeeping, certificate: ServingCertificate) -> None:
        self._client = client
        self._keeping = keeping
        self._certificate = certificate
        self._shown = b""
        self._complaint = ""

    async def run(self) -> None:
        """Look after it until cancelled."""
        while True:
            try:
                await self.look()
                self._complaint, pause = "", _LOOK_SECONDS
            except ApiError as error:
                self._complain(f"the certificate of the webhook cannot be looked after: {error}")
                pause = _RETRY_SECONDS
            await asyncio.sleep(pause)

    async def look(self) -> None:
        """Renew what is due, show what is kept, tell whom to believe. Raises `ApiError`."""
        from .authority import Kept, next_kept  # as heavy as what it is made of, and hardly anybody's

        secret, host = self._keeping.secret, self._keeping.host
        while True:
            raw = await self._client.get(SECRETS, secret.name, secret.namespace)
            kept = Kept.of(_decoded(raw.get("data") or {}))
            due = next_kept(kept, host, utc_now())
            if due == kept:
                break
            data = {name: b64encode(value).decode() for name, value in due.data().items()}
            body = {"metadata": {"resourceVersion": raw["metadata"]["resourceVersion"]}, "data": data}
            try:
                await self._client.patch(SECRETS, secret.name, body, PatchType.MERGE, secret.namespace)
            except Conflict:
                continue  # another replica was faster
            log.info("the certificate of the webhook, for %s, has been renewed", host)
            kept = due
            break
        # First whom to believe: it includes those who were believed before.
        await self._tell(kept.authorities)
        if kept.chain != self._shown:
            self._certificate.use(kept.chain, kept.key)
            self._shown = kept.chain

    async def _tell(self, authorities: bytes) -> None:
        name, bundle = self._keeping.configuration, b64encode(authorities).decode()
        raw = await self._client.get(VALIDATING_WEBHOOKS, name)
        changes = [
            {"name": each["name"], "clientConfig": {"caBundle": bundle}}
            for each in raw.get("webhooks") or ()
            if each["clientConfig"].get("caBundle") != bundle
        ]
        if changes:
            body = {"metadata": {"resourceVersion": raw["metadata"]["resourceVersion"]}, "webhooks": changes}
            await self._client.patch(VALIDATING_WEBHOOKS, name, body, PatchType.STRATEGIC)
            log.info("the API server has been told by the configuration %s whom to believe", name)

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            log.warning("%s", complaint)
        self._complaint = complaint


def _decoded(data: Mapping[str, Any]) -> dict[str, bytes]:
    found = {}
    for name, value in data.items():
        try:
            found[name] = b64decode(value, validate=True)
        except NotBase64:
            continue
    return found
