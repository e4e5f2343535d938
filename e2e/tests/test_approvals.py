"""Who may answer an approval on a real cluster: the API server checks, by the chart's policy, in whose name is asked.

By an operator of the test's own, and no other beside it: one that has looked for the policy before it was there
believes for a minute that nobody checks, and might be the one that answers.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from e2e.kubectl import Cluster, CommandFailed
from e2e.operators import OperatorProcess
from e2e.workflows import Workflows, fairlead, sh, workflow

POLICY = Path(__file__).resolve().parents[2] / "charts" / "fairlead" / "templates" / "admission-policy.yaml"


@pytest.fixture
def policy(cluster: Cluster) -> Iterator[None]:
    """The chart's policy, for long enough that it is believed."""
    text = re.sub(r"^.*\{\{.*\}\}.*$\n", "", POLICY.read_text(), flags=re.MULTILINE)
    documents = list(yaml.safe_load_all(text))
    try:
        for each in documents:
            cluster.kubectl("apply", "--validate=strict", "-f", "-", stdin=json.dumps(each))
        time.sleep(31)
        yield
    finally:
        for each in documents:
            cluster.kubectl("delete", each["kind"].lower(), each["metadata"]["name"], "--ignore-not-found")


def test_an_approval_is_given_by_whom_it_is_asked_of_and_by_nobody_in_their_name(
    cluster: Cluster, policy: None, workflows: Workflows, operator_log: Path
) -> None:
    me = json.loads(cluster.kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"]
    with OperatorProcess(cluster, operator_log) as operator:
        operator.wait_ready()
        mine, theirs = ({"approval": {"message": "go?", "users": [user]}} for user in (me, "bob"))
        workflows.apply(workflow("release", {"mine": mine, "theirs": theirs, "b": sh("true", needs=["mine"])}))
        workflows.wait_phase("release", "theirs", "Running")
        code, said = fairlead(workflows, "approve", "release", "theirs")
        assert (code, "refused: NotAllowed" in said) == (1, True), said
        forged = {
            "apiVersion": "fairlead.dev/v1alpha1",
            "kind": "WorkflowAction",
            "metadata": {"name": "forged"},
            "spec": {
                "workflowName": "release",
                "workflowUID": workflows.get("release")["metadata"]["uid"],
                "action": "Approve",
                "tasks": ["theirs"],
                "requestedBy": {"username": "bob"},
            },
        }
        with pytest.raises(CommandFailed, match="must be your own name"):
            workflows.apply(forged)
        code, said = fairlead(workflows, "approve", "release", "mine")
        assert code == 0, said
        workflows.wait_phase("release", "b", "Succeeded")
        assert workflows.task("release", "mine")["outputs"]["by"] == me
        code, said = fairlead(workflows, "explain", "release")
        assert "WaitingForApproval" in said
