"""All dashboards.

Each metric of ours is in one of them, or in an alert: what nobody looks at is not worth measuring.
"""

from __future__ import annotations

from .capacity import CAPACITY
from .fleet import FLEET
from .one_workflow import ONE_WORKFLOW
from .operator_health import OPERATOR_HEALTH

__all__ = ["BOARDS"]

BOARDS = (FLEET, ONE_WORKFLOW, OPERATOR_HEALTH, CAPACITY)
