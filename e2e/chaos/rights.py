"""The account that the chart gives the operator, so that rights can be taken from it and given back."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

import yaml

from e2e.kubectl import Cluster

__all__ = ["Account", "chart_rules"]

Object = dict[str, Any]

_CHART = Path(__file__).resolve().parents[2] / "charts" / "fairlead" / "templates" / "_rules.tpl"
_RBAC = "rbac.authorization.k8s.io"

#: Not that of the runs, which goes before the operator does.
_NAMESPACE = "default"


def chart_rules(text: str | None = None) -> list[Object]:
    """Return the rules of the chart's role, without what Helm would put in, and without those of a webhook."""
    plain = re.sub(r"^.*\{\{.*\}\}.*$\n", "", _CHART.read_text() if text is None else text, flags=re.MULTILINE)
    rules: list[Object] = yaml.safe_load(plain)
    return [each for each in rules if "validatingwebhookconfigurations" not in each["resources"]]


class Account:
    """A service account with a role of its own, for the length of a block."""

    def __init__(self, cluster: Cluster, name: str = "fairlead-chaos") -> None:
        self._cluster = cluster
        self._name = name
        self._rules = chart_rules()
        cluster.kubectl("delete", "serviceaccount", self._name, "-n", _NAMESPACE, "--ignore-not-found")
        cluster.kubectl("create", "serviceaccount", self._name, "-n", _NAMESPACE)
        self.restore()

    def __enter__(self) -> Self:
        """It does not outlive the block."""
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()

    @property
    def user(self) -> str:
        """Who asks, as the audit log has it."""
        return f"system:serviceaccount:{_NAMESPACE}:{self._name}"

    def cluster(self, folder: Path) -> Cluster:
        """Return the cluster as this account sees it."""
        token = self._cluster.kubectl("create", "token", self._name, "-n", _NAMESPACE, "--duration=1h").strip()
        config = json.loads(self._cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        config["users"] = [{"name": self._name, "user": {"token": token}}]
        config["contexts"][0]["context"]["user"] = self._name
        kubeconfig = folder / f"{self._name}-kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(json.dumps(config))
        return Cluster(kubeconfig, self._cluster.bin_dir, self._cluster.audit_log, self._cluster.volumes)

    def restore(self) -> None:
        """Give it all that the chart gives."""
        self._apply(self._rules)
        subject = {"kind": "ServiceAccount", "name": self._name, "namespace": _NAMESPACE}
        role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": self._name}
        self._object("ClusterRoleBinding", roleRef=role, subjects=[subject])

    def unbind(self) -> None:
        """Take everything from it."""
        self._cluster.kubectl("delete", "clusterrolebinding", self._name)

    def without(self, resource: str, *verbs: str) -> None:
        """Take verbs on one resource from it."""
        rules = deepcopy(self._rules)
        for rule in rules:
            if resource in rule["resources"]:
                rule["verbs"] = [verb for verb in rule["verbs"] if verb not in verbs]
        self._apply([rule for rule in rules if rule["verbs"]])

    def remove(self) -> None:
        """Remove the account, its role and the binding."""
        for kind in ("clusterrolebinding", "clusterrole", "serviceaccount"):
            self._cluster.kubectl("delete", kind, self._name, "-n", _NAMESPACE, "--ignore-not-found")

    def _apply(self, rules: list[Object]) -> None:
        self._object("ClusterRole", rules=rules)

    def _object(self, kind: str, **fields: Any) -> None:
        document = {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": {"name": self._name}, **fields}
        self._cluster.kubectl("apply", "-f", "-", stdin=json.dumps(document))
