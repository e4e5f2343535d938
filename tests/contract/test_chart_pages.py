"""What the pages tell people to give Helm is taken by the chart."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest
from e2e.devcluster import binaries
from tests.contract.charts import CHART, run

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
#: Those that say what the values are to be; the rest is about the release.
OPTIONS = ("--set", "--set-file", "--set-json", "--set-string")


def commands() -> list[str]:
    """Each `helm install` and `helm upgrade` of the pages that sets something."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            found += [line for line in lines if re.match("helm (install|upgrade) ", line) and "--set" in line]
    return found


def values(command: str) -> list[str]:
    """The options of a command that are values."""
    words = shlex.split(command, comments=True)
    pairs = itertools.pairwise(words)
    return [word for option, value in pairs if option in OPTIONS for word in (option, value)]


@pytest.fixture(scope="module", params=["helm", "helm3"])
def helm(request: pytest.FixtureRequest) -> Path:
    return binaries.ensure((request.param,))[request.param]


def test_there_are_such_commands() -> None:
    assert len(commands()) > 8
    assert all(values(command) for command in commands())


def test_an_upgrade_takes_the_defaults_of_the_new_chart() -> None:
    """`--reuse-values` has those of the old one instead, and so none of values that are new."""
    upgrades = [command for command in commands() if command.startswith("helm upgrade fairlead ")]
    assert len(upgrades) > 5
    assert [each for each in upgrades if "--reset-then-reuse-values" not in shlex.split(each)] == []


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_pages_renders(helm: Path, tmp_path: Path, command: str) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    given = [each.replace("=ca.crt", f"={authority}") for each in values(command)]
    assert "kind: Deployment" in run(helm, "template", "fairlead", str(CHART), "--namespace", "fairlead", *given)
