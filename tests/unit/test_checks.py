"""`make check` fails on what it is there for: each violation is seeded into a copy of the tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tools.checks import MODULE_LINES, ROOT, violations

BIN = Path(sys.executable).parent
COMMANDS = {
    "imports": [str(BIN / "lint-imports"), "--no-cache"],
    "layout": [sys.executable, "tools/checks.py"],
    "drift": [sys.executable, "-m", "tools.generate", "--check"],
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, with generated files as they should be."""
    copy = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("operator", "tools", "crds", "charts", "docs", "gitops", "tests/mutants", "e2e/bench"):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", copy)
    run(copy, [sys.executable, "-m", "tools.generate"])
    return copy


@pytest.fixture
def tree(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "tree"))


def run(tree: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(tree / "operator"), str(tree)))
    env = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)


def check(tree: Path, name: str) -> tuple[int, str]:
    done = run(tree, COMMANDS[name])
    return done.returncode, done.stdout + done.stderr


def append(tree: Path, path: str, text: str) -> None:
    with (tree / path).open("a", encoding="utf-8") as file:
        file.write(text)


def test_make_check_runs_these_commands() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.partition("\ncheck:")[2].partition("\n\n")[0]
    for command in COMMANDS.values():
        program = "python" if command[0] == sys.executable else Path(command[0]).name
        assert " ".join(["@$(BIN)/" + program, *command[1:]]) in recipe


@pytest.mark.parametrize("name", COMMANDS)
def test_the_copy_passes_as_it_is(original: Path, name: str) -> None:
    assert check(original, name)[0] == 0


@pytest.mark.parametrize(
    ("path", "text", "contract"),
    [
        pytest.param("engine/plan.py", "import fairlead.api.labels\n", "Layers", id="the engine imports what is above"),
        pytest.param("engine/plan.py", "import random\n", "The engine is pure", id="the engine imports random"),
        pytest.param("engine/plan.py", "import pydantic\n", "The engine is pure", id="the engine imports pydantic"),
        pytest.param("kube/lines.py", "import kopf\n", "kopf is imported by one file", id="a second file with kopf"),
        pytest.param("api/labels.py", "import kubernetes\n", "Only kube talks", id="kubernetes outside kube"),
    ],
)
def test_a_seeded_bad_import_fails(tree: Path, path: str, text: str, contract: str) -> None:
    append(tree, f"operator/fairlead/{path}", text)
    code, said = check(tree, "imports")
    assert code == 1
    assert any(line.startswith(contract) and "BROKEN" in line for line in said.splitlines())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("open('x')", "no open()", id="a file"),
        pytest.param("print('x')", "no print()", id="a print"),
        pytest.param("from datetime import datetime\ndatetime.now()", "no datetime.now", id="the clock"),
        pytest.param("import datetime\ndatetime.datetime.now()", "no datetime.now", id="the clock, by its module"),
        pytest.param("import time", "no import of time", id="time"),
        pytest.param("from time import monotonic", "no import from time", id="from time"),
        pytest.param("def f(random):\n    return random.random()", "nothing of random", id="randomness"),
        pytest.param("import os.path", "no import of os", id="the operating system"),
        pytest.param("async def f(): ...", "nothing to wait for", id="a coroutine"),
        pytest.param("hash('x')", "no hash()", id="a seeded hash"),
    ],
)
def test_what_is_no_pure_function(tmp_path: Path, text: str, message: str) -> None:
    engine = tmp_path / "operator/fairlead/engine"
    engine.mkdir(parents=True)
    (engine / "names.py").write_text(f"{text}\n", encoding="utf-8")
    (found,) = (each for each in violations(tmp_path) if message in each.message)
    assert found.path.as_posix() == "operator/fairlead/engine/names.py"


def test_seeded_io_in_the_engine_fails(tree: Path) -> None:
    append(tree, "operator/fairlead/engine/names.py", '\n\nopen("x")\n')
    code, said = check(tree, "layout")
    assert code == 1
    assert said.startswith("operator/fairlead/engine/names.py:")
    assert said.endswith("the engine is pure: no open()\n")


@pytest.mark.parametrize(("lines", "found"), [(MODULE_LINES, 0), (MODULE_LINES + 1, 1)])
def test_a_seeded_long_module_fails(tree: Path, lines: int, found: int) -> None:
    (tree / "operator/fairlead/kube/long.py").write_text('"""Long."""\n' + "x = 1\n" * (lines - 1), encoding="utf-8")
    code, said = check(tree, "layout")
    assert code == found
    assert ("operator/fairlead/kube/long.py:501: has 501 lines" in said) == bool(found)


def test_a_package_that_shadows_the_standard_library_fails(tree: Path) -> None:
    (tree / "operator/__init__.py").touch()
    assert [str(violation) for violation in violations(tree)] == [
        "operator/__init__.py:1: must not exist: it shadows the standard library's `operator`"
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("type: object", "type: string", id="a type"),
        pytest.param("description:", "description: (sic)", id="a description"),
    ],
)
def test_a_hand_edited_crd_fails(tree: Path, before: str, after: str) -> None:
    path = tree / "crds/workflows.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    code, said = check(tree, "drift")
    assert code == 1
    assert "crds/workflows.yaml is not what the code generates: run `make gen`" in said
