"""What the API server would refuse in a pod, and what would defeat the operator, found before there is a pod.

Types and unknown fields are the schema's business. Here is what only shows when fields are seen together: limits
below requests, mounts of volumes that do not exist, variables of ours. A text with an expression is not judged,
since its value is not known yet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from fairlead.api.defaults import main_container
from fairlead.api.environment import RESERVED
from fairlead.api.places import OWN_VOLUMES, own_place
from fairlead.api.problems import did_you_mean
from fairlead.api.quantities import parse_quantity
from fairlead.api.work import MAIN_CONTAINER

__all__ = [
    "Report",
    "check_containers",
    "check_env",
    "check_job",
    "check_mounts",
    "check_places",
    "check_resources",
    "check_volumes",
    "volume_names",
]

Report: TypeAlias = Callable[[str, str], None]
_Json = Mapping[str, Any]


def check_env(env: Sequence[_Json], path: str, report: Report) -> None:
    """Check a list of environment variables."""
    for index, variable in enumerate(env):
        name = variable["name"]
        if name.startswith(RESERVED):
            report(f"{path}[{index}].name", f"must not begin with {RESERVED}: these variables are set by Fairlead")
        elif not name or "=" in name:
            report(f"{path}[{index}].name", "must be a name without '='")
        if variable.get("value") and "valueFrom" in variable:
            report(f"{path}[{index}]", "must have `value` or `valueFrom`, not both")


def check_resources(resources: _Json, path: str, report: Report) -> None:
    """Check quantities, and that no request is above its limit."""
    amounts: dict[tuple[str, str], Decimal] = {}
    for kind in ("requests", "limits"):
        for name, text in resources.get(kind, {}).items():
            if "${" in str(text):
                continue
            field = f"{path}.{kind}.{name}"
            try:
                amount = parse_quantity(text)
            except ValueError:
                report(field, f"must be a quantity such as 500m, 2, 128Mi or 1.5Gi, not {text!r}")
                continue
            if amount < 0:
                report(field, f"must not be negative, as {text!r} is")
            else:
                amounts[kind, name] = amount
    for (kind, name), requested in amounts.items():
        limit = amounts.get(("limits", name))
        if kind == "requests" and limit is not None and requested > limit:
            report(
                f"{path}.requests.{name}",
                f"must not be greater than the limit: {resources['requests'][name]} is requested, "
                f"{path}.limits.{name} is {resources['limits'][name]}",
            )


def volume_names(pod: _Json) -> list[str]:
    """Return the names of a pod's volumes."""
    return [volume["name"] for volume in pod.get("volumes", ())]


def check_volumes(pod: _Json, path: str, report: Report) -> None:
    """Check that the names of volumes are unique, and not ours."""
    seen: set[str] = set()
    for index, name in enumerate(volume_names(pod)):
        if name in OWN_VOLUMES:
            report(f"{path}.volumes[{index}].name", f"must not be {name!r}, which is Fairlead's own volume")
        if name in seen:
            report(f"{path}.volumes[{index}].name", f"another volume is named {name!r}, too; names must be unique")
        seen.add(name)


def check_mounts(mounts: Sequence[_Json], path: str, volumes: Collection[str], where: str, report: Report) -> None:
    """Check that what is mounted exists; `where` names the field in which volumes are declared."""
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        name, place = mount["name"], mount["mountPath"]
        if name not in volumes and "${" not in name:
            hint = did_you_mean(name, list(volumes)) or f"; declare it in {where}"
            report(f"{path}[{index}].name", f"no volume named {name!r}{hint}")
        if place in seen:
            report(f"{path}[{index}].mountPath", f"{place!r} is mounted twice")
        if taken := own_place(place):
            report(f"{path}[{index}].mountPath", f"must not be at or below {taken}, which is Fairlead's")
        seen.add(place)


def check_places(places: Iterable[tuple[str, str]], report: Report) -> None:
    """Check that what comes from different fields is not mounted at the same place: pairs of field and place."""
    seen: dict[str, str] = {}
    for field, place in places:
        other = seen.setdefault(place.rstrip("/"), field)
        if other != field:
            report(field, f"{place!r} is taken: {other} is mounted there")


def check_containers(pod: _Json, path: str, volumes: Collection[str], report: Report) -> None:
    """Check all containers written out in a pod: names, images, variables, resources, mounts."""
    names: set[str] = set()
    for field in ("initContainers", "containers"):
        for index, container in enumerate(pod.get(field, ())):
            at = f"{path}.{field}[{index}]"
            name = container["name"]
            if name in names:
                report(f"{at}.name", f"another container is named {name!r}, too; names must be unique")
            names.add(name)
            if field == "initContainers" and name == MAIN_CONTAINER:
                report(f"{at}.name", f"must not be {MAIN_CONTAINER!r}: that is the task's own container")
            if not container.get("image") and name != MAIN_CONTAINER:
                report(f"{at}.image", "is required")
            check_env(container.get("env", ()), f"{at}.env", report)
            check_resources(container.get("resources", {}), f"{at}.resources", report)
            check_mounts(container.get("volumeMounts", ()), f"{at}.volumeMounts", volumes, f"{path}.volumes", report)


def check_job(spec: _Json, path: str, *, has_outputs: bool, report: Report) -> None:
    """Check what makes a Job one that we can follow; containers are checked apart."""
    pod = spec["template"].get("spec", {})
    at = f"{path}.template.spec"
    found = main_container(pod)
    if found is None:
        report(f"{at}.containers", f"must have a container named {MAIN_CONTAINER!r}: its exit and outputs count")
    elif "terminationMessagePath" in found[1]:
        report(
            f"{at}.containers[{found[0]}].terminationMessagePath",
            "must not be set: outputs are read from the container's termination message",
        )
    if pod.get("restartPolicy", "Never") not in {"Never", "OnFailure"}:
        report(f"{at}.restartPolicy", f"must be Never or OnFailure, not {pod['restartPolicy']!r}")
    completions = spec.get("completions", 1 if spec.get("parallelism", 1) == 1 else None)
    if has_outputs and completions != 1:
        report(
            f"{path}.completions",
            "must be 1 for a task with `outputs`: they come from one pod; set `completions: 1` or drop the outputs",
        )
