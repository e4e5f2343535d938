"""The shipping operator, with faults by the names of Workflows: `python -m e2e.observe.faulty_operator OPTIONS…`.

A run called `defect-…` meets a defect each time it is looked at; one called `stuck-N-…` holds a worker for N seconds.
Everything else is what ships; only the entrance of the controller is wrapped.
"""

from __future__ import annotations

import asyncio
import runpy
import sys

from fairlead.controllers.workflow import WorkflowController

_reconcile = WorkflowController.reconcile


async def _with_faults(self: WorkflowController, uid: str) -> float | None:
    workflow = self._store.get(uid)
    kind, _, rest = ("" if workflow is None else workflow.name).partition("-")
    if kind == "defect":
        raise RuntimeError("a defect, on purpose")
    if kind == "stuck":
        await asyncio.sleep(float(rest.partition("-")[0]))
    return await _reconcile(self, uid)


if __name__ == "__main__":
    WorkflowController.reconcile = _with_faults  # type: ignore[method-assign]
    sys.argv[0] = "fairlead.controllers"
    runpy.run_module("fairlead.controllers", run_name="__main__")
