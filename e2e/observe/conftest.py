"""The fixtures of the end-to-end suite."""

from __future__ import annotations

from e2e.tests.conftest import cluster, operator_log, workflows

__all__ = ["cluster", "operator_log", "workflows"]
