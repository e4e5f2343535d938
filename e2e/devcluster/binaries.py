"""Where the cluster's programs come from, by version.

For each program, in this order: `KUBEBUILDER_ASSETS` or `PATH` where the version is the right one, the cache, and
else a build from the published Go modules (the `go.mod` and `go.sum` under `modules/` pin every byte of it).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.devcluster.progress import Failure, run_long, say
from e2e.devcluster.state import cache_root

_MODULES = Path(__file__).parent / "modules"


@dataclass(frozen=True, slots=True)
class Component:
    """One Go module and the commands built from it."""

    name: str
    module: str
    programs: dict[str, str]  # program -> package below the module; "./…" is one of ours, beside its go.mod
    version_flag: tuple[str, ...]
    link_variables: tuple[
        str, ...
    ] = ()  # set by the linker; {version} (v1.2.3), {number} (1.2.3), {major} and {minor} are filled in
    minutes: str = ""
    tags: tuple[str, ...] = ()  # build tags

    @property
    def version(self) -> str:
        """The version its go.mod requires: written in one place only."""
        return required_version((_MODULES / self.name / "go.mod").read_text(), self.module)


KUBERNETES = Component(
    "kubernetes",
    "k8s.io/kubernetes",
    {
        program: f"cmd/{program}"
        for program in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
            "kubectl",
        )
    },
    ("--version",),
    (
        "k8s.io/component-base/version.gitVersion={version}",
        "k8s.io/component-base/version.gitMajor={major}",
        "k8s.io/component-base/version.gitMinor={minor}",
        "k8s.io/component-base/version.gitTreeState=clean",
    ),
    minutes="about 6 minutes on two cores",
)
ETCD = Component("etcd", "go.etcd.io/etcd/server/v3", {"etcd": ""}, ("--version",), minutes="about 30 seconds")
KWOK = Component(
    "kwok",
    "sigs.k8s.io/kwok",
    {"kwok": "cmd/kwok"},
    ("--version",),
    ("sigs.k8s.io/kwok/pkg/consts.Version={version}",),
    minutes="about 90 seconds",
)
HELM = Component(
    "helm",
    "helm.sh/helm/v4",
    {"helm": "cmd/helm"},
    ("version",),
    ("helm.sh/helm/v4/internal/version.version={version}",),
    minutes="about 2 minutes",
)
#: Its predecessor, which many clusters are still managed with.
HELM3 = Component(
    "helm3",
    "helm.sh/helm/v3",
    {"helm3": "cmd/helm"},
    ("version",),
    (
        "helm.sh/helm/v3/internal/version.version={version}",
        # What it takes a cluster for where it has none to ask: `helm template`.
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1",
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=37",
        "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1",
        "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=37",
    ),
    minutes="about 2 minutes",
)
#: One program that is what it is called: see `e2e.gitops.argocd`.
ARGOCD = Component(
    "argocd",
    "github.com/argoproj/argo-cd/v3",
    {"argocd": "cmd"},
    ("version", "--client"),
    ("github.com/argoproj/argo-cd/v3/common.version={number}",),
    minutes="about 5 minutes",
)
KSTATUS = Component(
    "kstatus", "sigs.k8s.io/cli-utils", {"kstatus": "./kstatus"}, ("--version",), minutes="about 30 seconds"
)
PROMETHEUS = Component(
    "prometheus",
    "github.com/prometheus/prometheus",
    {"prometheus": "cmd/prometheus", "promtool": "cmd/promtool"},
    ("--version",),
    ("github.com/prometheus/common/version.Version={version}",),
    minutes="about 2 minutes",
    # Targets come from files: the discovery in a dozen clouds is what takes the time. No web interface either.
    tags=("netgo", "remove_all_sd"),
)
COMPONENTS = (KUBERNETES, ETCD, KWOK, HELM, HELM3, ARGOCD, KSTATUS, PROMETHEUS)


def required_version(go_mod: str, module: str) -> str:
    """The version that a go.mod requires of a module."""
    found = re.search(rf"^(?:require\s+|\s+){re.escape(module)}\s+(v\S+)", go_mod, re.MULTILINE)
    if not found:
        raise Failure(f"{module} is not required by its go.mod")
    return found[1]


def ensure(programs: Sequence[str]) -> dict[str, Path]:
    """The path of each program, built where it is nowhere to be found."""
    found: dict[str, Path] = {}
    for component in COMPONENTS:
        wanted = [program for program in component.programs if program in programs]
        missing: list[str] = []
        for program in wanted:
            path = _on_this_machine(component, program) or _cached(component, program)
            if path:
                found[program] = path
            else:
                missing.append(program)
        if missing:
            _build(component, missing)
            found.update({program: _cache_path(component, program) for program in missing})
    return found


def cached(program: str) -> Path | None:
    """The path of a program that was built before."""
    component = next(each for each in COMPONENTS if program in each.programs)
    return _cached(component, program)


def origin(path: Path) -> str:
    """In words, where a program came from."""
    if path.is_relative_to(cache_root()):
        return f"built from the published Go modules, {path.parent.name}"
    return f"found on this machine: {path}"


def same_minor(printed: str, version: str) -> bool:
    """Whether what a program prints about itself names the same minor version ("1.34", of v1.34.3)."""
    minor = ".".join(version.removeprefix("v").split(".")[:2])
    return re.search(rf"(?<![\d.]){re.escape(minor)}\.\d", printed) is not None


def _on_this_machine(component: Component, program: str) -> Path | None:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    candidates = [Path(assets) / program] if assets else []
    if on_path := shutil.which(program):
        candidates.append(Path(on_path))
    for candidate in candidates:
        if not os.access(candidate, os.X_OK) or candidate.resolve().is_relative_to(cache_root().resolve()):
            continue
        flags = ("version", "--client") if program == "kubectl" else component.version_flag
        try:
            done = subprocess.run([candidate, *flags], capture_output=True, text=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if same_minor(done.stdout + done.stderr, component.version):
            return candidate
        say(f"{candidate} is passed over: it is not {component.version} or close to it")
    return None


def _cache_path(component: Component, program: str) -> Path:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"{component.name}-{component.version}{_own_sources(component)}-linux-{machine}"
    return cache_root() / "binaries" / name / program


def _own_sources(component: Component) -> str:
    """A mark of the sources of ours that go into a component, if any do: their version is not in the go.mod."""
    folders = [package for package in component.programs.values() if package.startswith("./")]
    files = sorted(path for each in folders for path in (_MODULES / component.name / each).glob("*.go"))
    return "-" + hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8] if files else ""


def _cached(component: Component, program: str) -> Path | None:
    path = _cache_path(component, program)
    return path if path.exists() else None


def _build(component: Component, programs: Sequence[str]) -> None:
    if not shutil.which("go"):
        raise Failure(
            f"{', '.join(programs)} {component.version} must be built, and there is no `go` on the PATH",
            "install Go 1.26 or later, or put the programs on the PATH, or name an existing cluster: "
            "CLUSTER_KUBECONFIG=...",
        )
    with _building():
        wanted = [program for program in programs if not _cached(component, program)]
        if not wanted:
            return  # another checkout built it meanwhile
        final = _cache_path(component, wanted[0]).parent
        partial = final.with_suffix(".partial")
        partial.mkdir(parents=True, exist_ok=True)
        say(f"{component.name} {component.version}: building, once a machine ({component.minutes or 'a while'})")
        run_long(
            f"{component.name}: go build {' '.join(wanted)}",
            build_command(component, wanted, partial),
            log=cache_root() / "logs" / f"build-{component.name}.log",
            env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"},
            cwd=_MODULES / component.name,
        )
        final.mkdir(parents=True, exist_ok=True)
        for program in wanted:
            built = partial / Path(component.programs[program] or component.module.removesuffix("/v3")).name
            built.replace(final / program)
        shutil.rmtree(partial)


def build_command(component: Component, programs: Sequence[str], output: Path) -> list[str]:
    """The `go build` that makes these programs; -v prints a line a package, which is the progress shown."""
    version = component.version
    major, minor = version.removeprefix("v").split(".")[:2]
    values = {"version": version, "number": version.removeprefix("v"), "major": major, "minor": minor}
    variables = [text.format(**values) for text in component.link_variables]
    link = " ".join(("-s", "-w", *(f"-X {variable}" for variable in variables)))
    packages = [_package(component, component.programs[name]) for name in programs]
    tags = ["-tags", ",".join(component.tags)] if component.tags else []
    return ["go", "build", "-v", "-trimpath", *tags, "-ldflags", link, "-o", f"{output}/", *packages]


def _package(component: Component, below: str) -> str:
    return below if below.startswith("./") else "/".join(filter(None, (component.module, below)))


@contextmanager
def _building() -> Iterator[None]:
    """One build at a time a machine: two would only halve each other's speed."""
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with (root / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
