"""What the operator does not import. Each in a process of its own, as it depends on what was imported before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.kube.lean_imports import absent, bare_package

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443"}}],
    "users": [{"name": "u", "user": {"token": "secret"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
    "current-context": "x",
}


def python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def imported(program: str) -> list[str]:
    """Run a program; return the top-level packages that it has imported."""
    ends = "; import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    found: list[str] = json.loads(python(program + ends).splitlines()[-1])
    return found


def test_the_operator_imports_kopf_and_no_client_library() -> None:
    packages = imported("import fairlead.controllers.app")
    assert "kopf" in packages
    assert {"kubernetes", "requests", "oauthlib", "urllib3"}.isdisjoint(packages)


def test_a_kubeconfig_is_read_without_the_rest_of_the_client(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(json.dumps(KUBECONFIG))
    packages = imported(
        "import asyncio; from fairlead.kube.credentials import load_credentials; "
        f"found = asyncio.run(load_credentials(kubeconfig={str(path)!r})); "
        "assert (found.host, found.namespace) == ('https://127.0.0.1:6443', 'team'); "
        "assert asyncio.run(found.authorization()) == 'Bearer secret'"
    )
    assert "kubernetes" in packages
    assert {"requests", "oauthlib", "websocket"}.isdisjoint(packages)


def test_what_is_imported_already_is_not_hidden() -> None:
    with absent("json"):
        import json as again
    assert again is json


def test_what_is_hidden_can_be_imported_afterwards() -> None:
    python(
        "from fairlead.kube.lean_imports import absent\n"
        "with absent('wave'):\n"
        "    try: import wave\n"
        "    except ImportError: print('hidden')\n"
        "import wave"
    )


def test_a_package_that_is_not_installed() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        bare_package("no_such_package")
