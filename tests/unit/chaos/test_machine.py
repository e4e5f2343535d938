from __future__ import annotations

import json
from pathlib import Path

import pytest
from e2e.chaos.machine import Machine
from e2e.devcluster import controlplane
from e2e.devcluster.api import Api
from e2e.devcluster.progress import Failure
from e2e.devcluster.state import Layout


def test_a_log_that_lacks_what_we_judge_by_is_refused(tmp_path: Path) -> None:
    at = Layout(tmp_path)
    at.config.mkdir(parents=True)
    machine = Machine(at, Api.__new__(Api))
    policy = at.config / "audit-policy.json"

    policy.write_text(json.dumps(controlplane.audit_policy()))
    machine.check_audit_policy()
    policy.write_text("{}")
    with pytest.raises(Failure, match="audit policy"):
        machine.check_audit_policy()
