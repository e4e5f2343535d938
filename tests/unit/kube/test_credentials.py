import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from fairlead.kube import credentials, errors
from fairlead.kube.asking import USER_AGENT
from fairlead.kube.credentials import Credentials, CredentialsError, Login, load_credentials, open_session
from fairlead.kube.resources import PODS
from fairlead.kube.session import Session
from fairlead.kube.transport import ApiClient


class Source:
    """Where credentials are read from: gives the next one each time, and the last one for ever."""

    def __init__(self, host: str, *tokens: str | None) -> None:
        self.host = host
        self.tokens = list(tokens)
        self.readings = 0

    async def read(self) -> Login:
        self.readings += 1
        token = self.tokens[min(self.readings, len(self.tokens)) - 1]
        return Login(host=self.host, authorization=token)

    async def credentials(self, **options: Any) -> Credentials:
        return Credentials(await self.read(), self.read, **options)


async def test_every_request_says_who_we_are(api: Any) -> None:
    api.others.append(api.json({}))
    async with open_session(await Source(api.url, "Bearer one").credentials()) as session:
        await session.get("api")
    assert api.asked[0].headers["Authorization"] == "Bearer one"
    assert api.asked[0].headers["User-Agent"] == USER_AGENT


async def test_401_reads_the_source_again_and_repeats_the_request(api: Any, notes: Any) -> None:
    api.others += [api.error(401), api.json({}, 201)]
    source = Source(api.url, "Bearer old", "Bearer new")
    async with Session(await source.credentials(reload_interval=0)) as session:
        await ApiClient(session).create(PODS, {"kind": "Pod"}, "ns")
    assert [asked.headers["Authorization"] for asked in api.asked] == ["Bearer old", "Bearer new"]
    assert [asked.body for asked in api.asked] == [{"kind": "Pod"}] * 2


@pytest.mark.parametrize("renewed", ["Bearer old", None], ids=["the same", "a plug-in that failed"])
async def test_401_stays_401_when_there_is_nothing_new(api: Any, renewed: str | None) -> None:
    api.others.append(api.error(401))
    source = Source(api.url, "Bearer old", renewed)
    async with Session(await source.credentials(reload_interval=0)) as session:
        with pytest.raises(errors.Unauthorized):
            await ApiClient(session).get(PODS, "a", "ns")
    assert len(api.asked) == 1


async def test_a_storm_of_401_reads_the_source_once(api: Any) -> None:
    source = Source(api.url, "Bearer old", "Bearer old")
    found = await source.credentials(reload_interval=60)
    found._read_at -= 60
    for _ in range(3):
        assert not await found.reload("Bearer old")
    assert source.readings == 2


async def test_who_comes_second_uses_what_the_first_one_read() -> None:
    source = Source("http://x", "Bearer old", "Bearer new")
    found = await source.credentials(reload_interval=0)
    assert await found.reload("Bearer old")
    assert await found.reload("Bearer old")
    assert source.readings == 2


async def test_a_token_is_read_again_when_it_is_old() -> None:
    source = Source("http://x", "Bearer one", "Bearer two")
    found = await source.credentials(max_age=60)
    assert await found.authorization() == "Bearer one"
    found._read_at -= 60
    assert await found.authorization() == "Bearer two"
    assert await found.authorization() == "Bearer two"
    assert source.readings == 2


async def test_a_session_closed_by_its_user_leaves_others_open(api: Any) -> None:
    api.others.append(api.json({}))
    found = await Source(api.url, "Bearer one").credentials()
    async with open_session(found) as ours:
        theirs = open_session(found)
        await theirs.close()
        async with ours.get("api") as response:
            assert response.status == 200


class TestInAPod:
    @pytest.fixture
    def mounted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "token").write_text("secret\n")
        (tmp_path / "namespace").write_text("fairlead-system")
        (tmp_path / "ca.crt").write_text(Path(ssl_bundle()).read_text())
        monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", tmp_path)
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
        return tmp_path

    async def test_the_mounted_files(self, mounted: Path) -> None:
        found = await load_credentials()
        assert (found.host, found.namespace) == ("https://[fd00::1]:6443", "fairlead-system")
        assert await found.authorization() == "Bearer secret"
        assert found.ssl_context is not None

    async def test_a_token_rewritten_by_the_kubelet(self, mounted: Path) -> None:
        found = await load_credentials()
        (mounted / "token").write_text("renewed")
        found._read_at -= 61
        assert await found.authorization() == "Bearer renewed"

    async def test_a_token_in_the_middle_of_a_rewrite_keeps_the_old_one(self, mounted: Path) -> None:
        found = await load_credentials()
        (mounted / "token").write_text("")
        found._read_at -= 61
        assert await found.authorization() == "Bearer secret"

    async def test_no_token(self, mounted: Path) -> None:
        (mounted / "token").unlink()
        with pytest.raises(CredentialsError, match="token cannot be read"):
            await load_credentials()

    async def test_an_explicit_kubeconfig_wins(self, mounted: Path, tmp_path: Path) -> None:
        found = await load_credentials(kubeconfig=kubeconfig(tmp_path))
        assert found.host == "http://one.example"


def ssl_bundle() -> str:
    import certifi

    return certifi.where()


def kubeconfig(directory: Path, **cluster: Any) -> Path:
    path = directory / "config"
    names = ("one", "two")
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "one",
                "clusters": [{"name": n, "cluster": {"server": f"http://{n}.example/"} | cluster} for n in names],
                "users": [{"name": n, "user": {"token": f"token-{n}"}} for n in names],
                "contexts": [{"name": n, "context": {"cluster": n, "user": n, "namespace": f"ns-{n}"}} for n in names],
            }
        )
    )
    return path


class TestKubeconfig:
    @pytest.mark.parametrize(("context", "name"), [(None, "one"), ("two", "two")])
    async def test_the_context_decides(self, tmp_path: Path, context: str | None, name: str) -> None:
        found = await load_credentials(kubeconfig=kubeconfig(tmp_path), context=context)
        assert (found.host, found.namespace) == (f"http://{name}.example", f"ns-{name}")
        assert await found.authorization() == f"Bearer token-{name}"
        assert found.ssl_context is None

    async def test_proxy_and_server_name_are_passed_on(self, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path, **{"proxy-url": "http://proxy:3128", "tls-server-name": "api.internal"})
        found = await load_credentials(kubeconfig=path)
        assert (found.proxy, found.tls_server_name) == ("http://proxy:3128", "api.internal")

    async def test_a_proxy_of_another_kind_is_refused_without_its_password(self, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path, **{"proxy-url": "socks5://me:secret@proxy:1080"})
        with pytest.raises(CredentialsError, match=r"only http:// proxies are supported, not socks5://$"):
            await load_credentials(kubeconfig=path)

    async def test_the_environments_file_is_the_default(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path)))
        assert (await load_credentials()).host == "http://one.example"

    @pytest.mark.parametrize("context", ["no-such-context"])
    async def test_what_cannot_be_used_is_said(self, tmp_path: Path, context: str) -> None:
        with pytest.raises(CredentialsError, match="no-such-context"):
            await load_credentials(kubeconfig=kubeconfig(tmp_path), context=context)
        with pytest.raises(CredentialsError, match="missing"):
            await load_credentials(kubeconfig=tmp_path / "missing")


class TestTls:
    async def test_verification_can_be_skipped(self, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path, server="https://one.example", **{"insecure-skip-tls-verify": True})
        context = (await load_credentials(kubeconfig=path)).ssl_context
        assert context is not None
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)

    @pytest.mark.parametrize("strict", [True, False])
    async def test_strict_x509_can_be_cleared(self, strict: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        made = ssl.create_default_context()
        made.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does by itself
        monkeypatch.setattr(ssl, "create_default_context", lambda cafile: made)
        source = Source("https://x", "Bearer one")
        found = await source.credentials(strict_x509=strict)
        assert found.ssl_context is not None
        assert bool(found.ssl_context.verify_flags & ssl.VERIFY_X509_STRICT) is strict

    async def test_unusable_certificates_are_said(self, tmp_path: Path) -> None:
        (tmp_path / "ca.crt").write_text("not a certificate")
        login = Login(host="https://x", ca_file=str(tmp_path / "ca.crt"))
        with pytest.raises(CredentialsError, match="certificates for https://x"):
            Credentials(login, Source("https://x", None).read)
