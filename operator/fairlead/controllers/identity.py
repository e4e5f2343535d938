"""Whether a WorkflowAction comes from whom it says: the API server checks that, if it has our admission policy.

The chart's ValidatingAdmissionPolicy `fairlead-requested-by` refuses an action in somebody else's name. Who asks is
therefore believed of actions that were created while the policy and its binding were there, and of no others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from fairlead.kube.errors import ApiError, Forbidden, NotFound
from fairlead.kube.resources import ADMISSION_POLICIES, ADMISSION_POLICY_BINDINGS
from fairlead.kube.transport import ApiClient

from .views import time_of

__all__ = ["POLICY", "IdentityCheck", "is_in_force"]

log = logging.getLogger(__name__)

#: The name of the policy and of its binding.
POLICY = "fairlead-requested-by"

_LOOK_SECONDS = 60.0
#: API servers take up a new policy within seconds; one that is older than this is in force on all of them.
_SPREADS = timedelta(seconds=30)


class IdentityCheck:
    """Looks for the policy, once a minute at most."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._looked_at: float | None = None
        self._since: datetime | None = None

    async def covers(self, created_at: datetime) -> bool:
        """Tell whether the API server has checked who made an action that was created then.

        Raises `ApiError` where that cannot be told now; missing rights count as a missing policy.
        """
        since = await self._in_force_since()
        return since is not None and created_at >= since + _SPREADS

    async def _in_force_since(self) -> datetime | None:
        now = asyncio.get_running_loop().time()
        if self._looked_at is None or now >= self._looked_at + _LOOK_SECONDS:
            self._since = await self._look()
            self._looked_at = now
        return self._since

    async def _look(self) -> datetime | None:
        try:
            policy = await self._client.get(ADMISSION_POLICIES, POLICY)
            binding = await self._client.get(ADMISSION_POLICY_BINDINGS, POLICY)
        except NotFound:
            return None
        except Forbidden as error:
            log.warning("not allowed to see whether the policy %s is there, so it counts as missing: %s", POLICY, error)
            return None
        except ApiError:
            if self._looked_at is None:
                raise
            return self._since  # an outage changes nothing about what was seen before it
        if not is_in_force(policy, binding):
            log.warning("the admission policy %s has been changed so that it lets pass what it should not", POLICY)
            return None
        return max(moment for each in (policy, binding) if (moment := time_of(each["metadata"]["creationTimestamp"])))


def is_in_force(policy: Mapping[str, Any], binding: Mapping[str, Any]) -> bool:
    """Tell whether a policy and a binding check, of every action, that it is in the name of its maker."""
    checks, bound = policy.get("spec") or {}, binding.get("spec") or {}
    compared = any(
        "object.spec.requestedBy.username == request.userInfo.username" in each.get("expression", "")
        for each in checks.get("validations") or ()
    )
    matched = checks.get("matchConstraints") or {}
    narrowed = [matched.get(each) for each in ("namespaceSelector", "objectSelector", "excludeResourceRules")]
    everywhere = not any((*narrowed, checks.get("matchConditions"), bound.get("matchResources"), bound.get("paramRef")))
    return (
        compared
        and everywhere
        and checks.get("failurePolicy", "Fail") == "Fail"
        and bound.get("policyName") == POLICY
        and "Deny" in (bound.get("validationActions") or ())
    )
