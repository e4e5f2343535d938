from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from e2e.devcluster import binaries, builds
from e2e.devcluster.context import files, ignored, parse
from e2e.devcluster.progress import Failure


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("team/app:1", "docker.io/team/app:1"),
        ("fairlead.dev/nycflights:demo", "fairlead.dev/nycflights:demo"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
    ],
)
def test_names_are_completed_as_the_kubelet_does(short: str, full: str) -> None:
    assert builds.full_name(short) == full


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("print(1)\n")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "x.whl").write_text("")
    return tmp_path


def _digest(context: Path) -> str:
    recipe = builds.Recipe("app:1", context / "Dockerfile", context)
    return builds.inputs_digest(recipe, files(context, without="wheels"), "base-1")


def test_the_context_has_the_files_but_not_the_wheels(context: Path) -> None:
    assert files(context, without="wheels") == ["Dockerfile", "src/app.py"]


def test_the_context_leaves_out_what_git_ignores(context: Path) -> None:
    subprocess.run(["git", "init", "-q", context], check=True)
    (context / ".gitignore").write_text("*.log\n")
    (context / "big.log").write_text("x")
    assert files(context, without="wheels") == [".gitignore", "Dockerfile", "src/app.py"]


def test_the_same_inputs_are_the_same_image(context: Path) -> None:
    assert _digest(context) == _digest(context)


@pytest.mark.parametrize("change", ["content", "mode", "new", "dockerfile"])
def test_any_change_of_the_inputs_is_another_image(context: Path, change: str) -> None:
    before = _digest(context)
    app = context / "src" / "app.py"
    match change:
        case "content":
            app.write_text("print(2)\n")
        case "mode":
            app.chmod(0o755)
        case "new":
            (context / "src" / "more.py").write_text("")
        case _:
            (context / "Dockerfile").write_text("FROM scratch\n")
    assert _digest(context) != before


def test_the_version_is_the_one_of_the_go_mod() -> None:
    assert binaries.required_version("require k8s.io/kubernetes v1.34.3\n", "k8s.io/kubernetes") == "v1.34.3"
    assert binaries.required_version("require (\n\ta.b/c v1.2.3\n)\n", "a.b/c") == "v1.2.3"
    with pytest.raises(Failure):
        binaries.required_version("require a.b/cd v1.2.3\n", "a.b/c")


@pytest.mark.parametrize("component", binaries.COMPONENTS, ids=lambda component: component.name)
def test_every_component_pins_a_version(component: binaries.Component) -> None:
    assert component.version.startswith("v")


@pytest.mark.parametrize(
    ("printed", "same"),
    [
        ("Kubernetes v1.34.3", True),
        ("Kubernetes v1.34.9", True),
        ("Kubernetes v1.35.0", False),
        ("Kubernetes v11.34.1", False),
        ("", False),
    ],
)
def test_a_program_with_the_same_minor_version_will_do(printed: str, same: bool) -> None:
    assert binaries.same_minor(printed, "v1.34.3") is same


def test_a_program_on_this_machine_is_taken_before_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "assets" / "etcd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho etcd Version: 3.6.20\n")
    program.chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(program.parent))
    monkeypatch.setenv("FAIRLEAD_CACHE", str(tmp_path / "cache"))
    assert binaries.ensure(["etcd"]) == {"etcd": program}


def test_without_go_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("FAIRLEAD_CACHE", str(tmp_path / "cache"))
    with pytest.raises(Failure, match="install Go"):
        binaries.ensure(["etcd"])


def test_the_build_sets_the_version() -> None:
    command = binaries.build_command(binaries.KUBERNETES, ["kubectl"], Path("/out"))
    assert command[-1] == "k8s.io/kubernetes/cmd/kubectl"
    version = binaries.KUBERNETES.version
    assert f"-X k8s.io/component-base/version.gitVersion={version}" in command[command.index("-ldflags") + 1]


def test_a_program_of_ours_is_built_from_the_sources_beside_its_go_mod() -> None:
    assert binaries.build_command(binaries.KSTATUS, ["kstatus"], Path("/out"))[-1] == "./kstatus"


def test_prometheus_is_built_without_the_clouds_that_it_could_discover() -> None:
    command = binaries.build_command(binaries.PROMETHEUS, ["prometheus", "promtool"], Path("/out"))
    assert command[command.index("-tags") + 1] == "netgo,remove_all_sd"
    assert "-tags" not in binaries.build_command(binaries.HELM, ["helm"], Path("/out"))


_WHITELIST = parse("# only these\n*\n!README.md\n!operator\n\n**/__pycache__\n**/*.pyc\n")


@pytest.mark.parametrize(
    ("patterns", "name", "out"),
    [
        (_WHITELIST, "README.md", False),
        (_WHITELIST, "operator/fairlead/app.py", False),
        (_WHITELIST, "docs/a.md", True),
        (_WHITELIST, "docs/README.md", True),
        (_WHITELIST, "operator/fairlead/__pycache__/app.pyc", True),
        (_WHITELIST, "operator/app.pyc", True),
        (["docs/*.md"], "docs/a.md", True),
        (["docs/*.md"], "docs/deep/a.md", False),
        (["docs"], "documents", False),
        ([], "anything", False),
    ],
)
def test_dockerignore_is_read_as_docker_reads_it(patterns: list[str], name: str, out: bool) -> None:
    assert ignored(patterns, name) is out
