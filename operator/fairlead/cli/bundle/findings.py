"""What is wrong with an installation and its runs, as far as it shows in what was read. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from fairlead import __version__
from fairlead.api import crd, labels
from fairlead.cli.view import condition
from fairlead.kube.resources import JOBS, PODS, WORKFLOWS

from .reading import DEPLOYMENTS, Gathered, OperatorPod

__all__ = ["findings"]

_Object = Mapping[str, Any]

#: After so long nobody can be about to see to it any more.
_UNSEEN = timedelta(minutes=2)
_HELD = timedelta(minutes=5)
_DEAF_SECONDS = 120.0
_SHOWN = 10


def findings(found: Gathered, now: datetime) -> list[str]:
    """Return a sentence for each thing that needs somebody's attention, the gravest first."""
    return [
        *_of_crds(found),
        *_of_operators(found),
        *_few(_of_runs(found, now)),
        *_few(_held(found, now)),
    ]


def _few(sentences: Iterator[str]) -> list[str]:
    each = list(sentences)
    more = [f"… and {len(each) - _SHOWN} more like these"] if len(each) > _SHOWN else []
    return each[:_SHOWN] + more


def _of_crds(found: Gathered) -> Iterator[str]:
    known = {each["metadata"]["name"]: each for each in found.crds}
    for ours in _crds():
        name = ours["metadata"]["name"]
        theirs = known.get(name)
        if theirs is None:
            if not any(problem.startswith("customresourcedefinitions") for problem in found.problems):
                yield f"the CustomResourceDefinition {name} is not there: kubectl apply -f crds/, or crds.install"
        elif _fields(theirs) - _fields(ours):
            yield f"{name} has fields that fairlead {__version__} does not know: it is of a newer release"
        elif _fields(ours) - _fields(theirs):
            yield f"{name} lacks fields that fairlead {__version__} knows: it is of an older release; upgrade it"


@cache
def _crds() -> list[_Object]:
    return list(crd.crds())


def _fields(definition: _Object) -> set[str]:
    """Return the paths of all fields that a CRD has."""

    def walk(schema: _Object, path: str) -> Iterator[str]:
        for name, each in (schema.get("properties") or {}).items():
            yield f"{path}.{name}"
            yield from walk(each, f"{path}.{name}")
        if isinstance(schema.get("items"), Mapping):
            yield from walk(schema["items"], path + "[]")

    return {
        field
        for version in definition["spec"]["versions"]
        for field in walk((version.get("schema") or {}).get("openAPIV3Schema") or {}, version["name"])
        if not field.startswith((f"{version['name']}.metadata", f"{version['name']}.kind"))
    }


def _of_operators(found: Gathered) -> Iterator[str]:
    if not found.operators:
        deployments = found.installed.get(DEPLOYMENTS.plural) or ()
        if not any(problem.startswith("pods") for problem in found.problems):
            yield "no pod of an operator was found" + (", though it is installed" if deployments else "")
    for pod in found.operators:
        yield from _of_operator(pod)


def _of_operator(pod: OperatorPod) -> Iterator[str]:
    name, status = pod.raw["metadata"]["name"], pod.raw.get("status") or {}
    if condition(status, "Ready").get("status") != "True":
        yield f"the operator {name} is not ready" + (f": {_unready(pod.ready)}" if pod.ready else "")
    for container in status.get("containerStatuses") or ():
        last = (container.get("lastState") or {}).get("terminated") or {}
        if container.get("restartCount"):
            why = f", last because of {last['reason']}, exit code {last.get('exitCode')}" if "reason" in last else ""
            yield f"the operator {name} was restarted {container['restartCount']} times{why}"
    version = re.search(r'^fairlead_build_info\{[^}]*version="([^"]+)"', pod.metrics, re.MULTILINE)
    if version and version[1] != __version__:
        yield f"the operator {name} is of version {version[1]}, and this command line of {__version__}"
    failing = _sample(pod.metrics, "fairlead_archive_failing_seconds")
    if failing:
        yield f"the operator {name} has not been able to write its archive for {failing:.0f} s"
    for resource, seconds in _samples(pod.metrics, "fairlead_cache_staleness_seconds", "resource"):
        if seconds > _DEAF_SECONDS:
            yield f"the operator {name} has not heard of {resource} for {seconds:.0f} s"
    for family, count in _samples(pod.metrics, "fairlead_reconcile_errors_total", "family"):
        if family == "bug" and count:
            yield f"the operator {name} has run into {count:.0f} errors of its own: its log has them"


def _unready(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())[:300]


def _sample(metrics: str, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", metrics, re.MULTILINE)
    return float(found[1]) if found else 0.0


def _samples(metrics: str, name: str, label: str) -> Iterator[tuple[str, float]]:
    for match in re.finditer(rf'^{name}\{{[^}}]*{label}="([^"]*)"[^}}]*\}} (\S+)$', metrics, re.MULTILINE):
        yield match[1], float(match[2])


def _of_runs(found: Gathered, now: datetime) -> Iterator[str]:
    for run in found.objects.get(WORKFLOWS) or ():
        metadata, status = run["metadata"], run.get("status") or {}
        name = f"{metadata['namespace']}/{metadata['name']}"
        if condition(status, "Finished").get("status") == "True":
            continue
        stalled = condition(status, "Stalled")
        if stalled.get("status") == "True":
            yield f"Workflow {name} is stalled ({stalled.get('reason')}): {stalled.get('message', '')}".rstrip(": ")
        elif not status and now - _time(metadata["creationTimestamp"]) > _UNSEEN:
            yield f"Workflow {name} was seen by no operator"
        elif status and status.get("observedGeneration") != metadata.get("generation") and _edited(metadata, now):
            yield f"Workflow {name} was edited, and no operator has seen that yet"


def _edited(metadata: _Object, now: datetime) -> bool:
    times = [_time(each["time"]) for each in metadata.get("managedFields") or () if each.get("time")]
    return bool(times) and now - max(times) > _UNSEEN


def _held(found: Gathered, now: datetime) -> Iterator[str]:
    for resource in (PODS, JOBS):
        for each in found.objects.get(resource) or ():
            metadata = each["metadata"]
            deleted = metadata.get("deletionTimestamp")
            if deleted and labels.FINALIZER in (metadata.get("finalizers") or ()) and now - _time(deleted) > _HELD:
                yield (
                    f"{resource.kind} {metadata['namespace']}/{metadata['name']} is being deleted and held by our "
                    "finalizer: is an operator at work? docs/install.md says how to take it off without one"
                )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
