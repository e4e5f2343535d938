"""A server of ours has the certificate that its files hold now."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from e2e.devcluster.progress import run
from tests.unit.controllers.pki import Authority

from fairlead.controllers.certificate import CertificateFiles


class Files:
    """The two files, and what may be put into them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.chain, self.key = root / "tls.crt", root / "tls.key"
        self.authority = Authority(root)
        for name in ("one", "two"):
            self.authority.issue(name)
        self.authority.issue("rsa", "rsa:2048")

    def install(self, chain: str, key: str | None = None) -> None:
        for target, source in ((self.chain, f"{chain}.crt"), (self.key, f"{key or chain}.key")):
            fresh = target.with_suffix(".new")
            fresh.write_bytes((self.root / source).read_bytes())
            fresh.replace(target)


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def files(issued: Files) -> Files:
    issued.chain.unlink(missing_ok=True)
    issued.key.unlink(missing_ok=True)
    return issued


class Server:
    """One that answers on loopback, and whoever connects to it."""

    def __init__(self, files: Files) -> None:
        self.certificate = CertificateFiles(files.chain, files.key)
        self._authority = files.authority
        self._runner = web.AppRunner(web.Application(), shutdown_timeout=0.01)
        self.port = 0

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.certificate.context).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def name(self, host: str = "127.0.0.1", version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> str:
        """Connect; return whose certificate was shown."""
        trust = self._authority.trust()
        trust.maximum_version = version
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=trust, server_hostname=host)
        subject = writer.get_extra_info("peercert")["subject"]
        writer.close()
        await writer.wait_closed()
        return dict(pair for pairs in subject for pair in pairs)["commonName"]


@pytest.fixture
async def server(files: Files, request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    if getattr(request, "param", "one"):
        files.install("one")
    found = Server(files)
    await found.start()
    yield found
    await found.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["by address, without a name", "by name"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
async def test_the_certificate_is_shown(server: Server, host: str, version: ssl.TLSVersion) -> None:
    assert await server.name(host, version) == "one"


async def test_a_new_one_is_used_from_the_next_connection_on(files: Files, server: Server) -> None:
    assert await server.name() == "one"
    files.install("two")
    assert await server.name() == "two"


async def test_so_is_one_with_a_key_of_another_type(files: Files, server: Server) -> None:
    files.install("rsa")
    assert await server.name() == "rsa"
    files.install("one")
    assert await server.name() == "one"


async def test_a_pair_that_does_not_fit_leaves_the_one_before(
    files: Files, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    files.install("two", key="one")
    assert [await server.name(), await server.name()] == ["one", "one"]
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "the one before stays in use" in warning.getMessage()

    files.install("two")
    assert await server.name() == "two"


async def test_so_do_files_that_are_gone(files: Files, server: Server) -> None:
    files.chain.unlink()
    assert await server.name() == "one"


@pytest.mark.parametrize("server", [""], indirect=True)
async def test_there_may_be_none_yet(files: Files, server: Server) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await server.name()

    files.install("one")

    assert await server.name() == "one"


def test_when_it_expires_is_known_of_a_new_one_that_nobody_has_asked_for(files: Files) -> None:
    certificate = CertificateFiles(files.chain, files.key)
    assert certificate.expiry() == 0.0
    files.install("one")
    expected = x509.load_pem_x509_certificate(files.chain.read_bytes()).not_valid_after_utc
    assert certificate.expiry() == expected.timestamp()


@pytest.mark.parametrize("server", [""], indirect=True)
async def test_a_key_with_a_password_is_refused_and_not_asked_about(
    files: Files, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    files.install("one")
    run(
        [
            "openssl",
            "pkey",
            "-in",
            str(files.root / "two.key"),
            "-aes256",
            "-passout",
            "pass:secret",
            "-out",
            str(files.key),
        ]
    )
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await server.name()
    assert "cannot be used" in caplog.text
