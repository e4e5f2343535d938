"""What the comment at the head of an example says: its outcome, the phases of its tasks, its outputs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

EXAMPLES = Path(__file__).parents[3] / "examples"

_LINE = re.compile(r"^# (expect|tasks|outputs|local|answer|server|makes): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """One file. `reason` and `after` are empty where the head names none; `tasks` has only those it names.

    `answers` are what somebody has to say to its tasks, `server` is what the server answers that it asks by the
    parameter `url`. `makes` are kinds of objects that the operator makes for it.
    """

    path: Path
    succeeds: bool
    reason: str
    after: str
    tasks: dict[str, str]
    outputs: dict[str, Any] | None
    local: bool
    answers: tuple[str, ...] = ()
    server: str = ""
    makes: tuple[str, ...] = ()

    @cached_property
    def documents(self) -> list[dict[str, Any]]:
        return list(yaml.safe_load_all(self.path.read_text()))

    @property
    def workflow(self) -> dict[str, Any]:
        (found,) = [document for document in self.documents if document["kind"] == "Workflow"]
        return found

    @property
    def definition(self) -> dict[str, Any]:
        """The spec that has the tasks: the run's own, or that of its template."""
        spec: dict[str, Any] = self.workflow["spec"]
        if "templateRef" not in spec:
            return spec
        (found,) = [
            document["spec"]
            for document in self.documents
            if document["kind"] == "WorkflowTemplate" and document["metadata"]["name"] == spec["templateRef"]["name"]
        ]
        return dict(found)

    @property
    def defined(self) -> list[dict[str, Any]]:
        """Its tasks, with those of `finally`."""
        return [*self.definition["tasks"], *self.definition.get("finally", ())]

    @property
    def name(self) -> str:
        return str(self.workflow["metadata"]["name"])


def read(path: Path) -> Example:
    """Read one file's head. `expect`, `tasks` and `local` are in every one, so that nothing is asserted by accident."""
    lines: dict[str, list[str]] = {}
    for key, value in _LINE.findall(path.read_text()):
        lines.setdefault(key, []).append(value)
    outcome, *details = lines["expect"][0].split()
    said = dict(detail.split("=") for detail in details)
    assert outcome in {"Succeeded", "Failed"}, f"{path}: {outcome}"
    assert said.keys() <= {"reason", "after"}, f"{path}: {said}"
    return Example(
        path=path,
        succeeds=outcome == "Succeeded",
        reason=said.get("reason", ""),
        after=said.get("after", ""),
        tasks=dict(task.split("=") for line in lines["tasks"] for task in line.split()),
        outputs=json.loads(lines["outputs"][0]) if "outputs" in lines else None,
        local={"yes": True, "no": False}[lines["local"][0].split()[0]],
        answers=tuple(lines.get("answer", ())),
        server=lines["server"][0] if "server" in lines else "",
        makes=tuple(kind for line in lines.get("makes", ()) for kind in line.split()),
    )


def small() -> list[Example]:
    """The small examples, by name."""
    return [read(path) for path in sorted(EXAMPLES.glob("*.yaml"))]


def nycflights() -> Example:
    """The pipeline."""
    return read(EXAMPLES / "nycflights" / "workflow.yaml")
