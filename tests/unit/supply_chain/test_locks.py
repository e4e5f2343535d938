"""What is installed is what was chosen: exact versions with hashes, nothing else; the SBOM has each Python package."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LOCKS = {path.stem: path.read_text() for path in (ROOT / "requirements").glob("*.lock")}


def pinned(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ ;]+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_has_an_exact_version_and_hashes(name: str) -> None:
    requirements = re.split(r"\n(?=[a-z])", re.sub(r"^\s*#.*\n", "", LOCKS[name], flags=re.MULTILINE).strip())
    assert requirements
    for each in requirements:
        assert re.match(r"[a-z0-9.-]+==\S+( ; [^\\]+)? \\\n\s+--hash=sha256:[0-9a-f]{64}", each), each[:80]


@pytest.mark.parametrize("name", LOCKS)
def test_no_requirement_comes_from_elsewhere_than_the_package_index(name: str) -> None:
    assert not re.search(r"://|^-|@ ", re.sub(r"#.*", "", LOCKS[name]), re.MULTILINE)


def test_the_image_is_made_of_what_was_tested() -> None:
    assert pinned(LOCKS["runtime"]).items() <= pinned(LOCKS["dev"]).items()


def test_the_dockerfile_takes_hashes_and_nothing_else() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"pip.* install .*", text)
    assert "--no-deps --only-binary :all: --require-hashes" in text


def test_the_sbom_lists_the_python_packages_of_the_image(tmp_path: Path) -> None:
    command = next(line for line in (ROOT / "Makefile").read_text().splitlines() if "cyclonedx-py requirements" in line)
    arguments = command.partition("cyclonedx-py ")[2].removesuffix("\\").split()
    output = tmp_path / "sbom.json"
    program = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", *arguments]
    subprocess.run([*program, "--output-file", str(output)], cwd=ROOT, check=True, timeout=120, capture_output=True)
    found = json.loads(output.read_text())
    listed = {each["name"]: each["version"] for each in found["components"]}
    assert listed == pinned(LOCKS["runtime"])
    assert found["metadata"]["component"]["name"] == "fairlead"
