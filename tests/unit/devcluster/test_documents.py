"""What the components are told: command lines, configuration and objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.devcluster import certificates, clearing, controlplane, existing, kwok, network, node, storage
from e2e.devcluster.progress import Failure
from e2e.devcluster.state import GATEWAY, Layout

_AT = Layout(Path("/state"))
_STAGES = Path(kwok.__file__).parent / "manifests" / "kwok-stages.yaml"


def test_pods_reach_the_api_server_only_where_there_is_a_node() -> None:
    with_node = controlplane.apiserver(Path("kube-apiserver"), _AT, with_node=True)
    without = controlplane.apiserver(Path("kube-apiserver"), _AT, with_node=False)
    assert f"--advertise-address={GATEWAY}" in with_node
    assert "--bind-address=127.0.0.1" in without


def test_the_audit_log_records_writes_of_pods_jobs_and_workflows_and_nothing_else() -> None:
    record, rest = controlplane.audit_policy()["rules"]
    assert {"create", "patch", "delete"} <= set(record["verbs"])
    assert [each["group"] for each in record["resources"]] == ["", "batch", "fairlead.dev"]
    assert rest == {"level": "None"}


def test_the_audit_log_records_what_proves_an_object_whose_create_was_cut_off() -> None:
    record, _ = controlplane.audit_policy()["rules"]
    kinds = {kind for each in record["resources"] for kind in each.get("resources", ())}
    assert {"pods/binding", "jobs/status"} <= kinds


def test_everything_of_the_node_lies_in_the_state_directory() -> None:
    config = node.kubelet_config(_AT, ["192.0.2.1"])
    places = [config["podLogsDir"], config["volumePluginDir"], config["tlsCertFile"]]
    assert all(place.startswith("/state/") for place in places)
    assert config["cgroupRoot"] == f"/{_AT.cgroup}"


def test_containerd_is_told_debians_plugin_directory() -> None:
    text = node.containerd_config(_AT, Path("/usr/lib/cni"))
    assert 'bin_dir = "/usr/lib/cni"' in text
    assert "restrict_oom_score_adj = true" in text


@pytest.mark.parametrize(
    ("resolv_conf", "servers"),
    [
        ("nameserver 192.0.2.1\nnameserver 192.0.2.2\n", ["192.0.2.1", "192.0.2.2"]),
        ("# none\nsearch example.org\n", [GATEWAY]),
        ("nameserver 127.0.0.53\noptions edns0\n", [GATEWAY]),
    ],
)
def test_pods_get_name_servers_they_can_reach(resolv_conf: str, servers: list[str]) -> None:
    assert node.nameservers(resolv_conf) == servers


def test_firewall_rules_carry_our_name() -> None:
    assert all(network.NETWORK in rule for _, _, rule in network.rules())


def test_a_certificate_is_issued_for_every_name_of_the_api_server() -> None:
    (apiserver,) = (each for each in certificates.identities() if each.name == "apiserver")
    command = certificates.issue_command(Path("/pki"), apiserver)
    assert any(f"IP:{GATEWAY}" in part and "DNS:localhost" in part for part in command)


def test_mounts_are_undone_innermost_first() -> None:
    mountinfo = "\n".join(
        f"1 2 0:3 / {point} rw - tmpfs tmpfs rw" for point in ("/", "/state/a", "/state/a/b\\040c", "/statement")
    )
    assert clearing.mounts_below(mountinfo, Path("/state")) == ["/state/a/b c", "/state/a"]


def test_stages_are_stage_documents_only() -> None:
    documents = list(yaml.safe_load_all(_STAGES.read_text()))
    assert {document["kind"] for document in documents} == {"Stage"}


def test_nothing_lands_on_a_simulated_node_by_accident() -> None:
    fake = kwok.node(0)
    assert fake["metadata"]["labels"]["type"] == "kwok"
    assert fake["spec"]["taints"] == [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]


def _claim(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "team", "name": "data", "uid": "u1"},
        "spec": {
            "storageClassName": storage.CLASS,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            **spec,
        },
    }


def test_a_claim_gets_a_directory_with_its_name() -> None:
    directory = storage.directory_of(_AT, _claim())
    volume = storage.volume_for(_claim(), directory)
    assert directory == Path("/state/volumes/team/data")
    assert volume["spec"]["hostPath"]["path"] == str(directory)
    assert volume["spec"]["claimRef"]["uid"] == "u1"
    assert volume["spec"]["capacity"] == {"storage": "1Gi"}


@pytest.mark.parametrize(
    ("claim", "wanted"),
    [
        (_claim(), True),
        (_claim(storageClassName="other"), False),
        (_claim(volumeName="chosen"), False),
        ({**_claim(), "status": {"phase": "Bound"}}, False),
    ],
)
def test_only_waiting_claims_of_the_class_are_provided_for(claim: dict[str, Any], wanted: bool) -> None:
    assert storage.wants_volume(claim) is wanted


def test_only_released_volumes_of_ours_are_reclaimed() -> None:
    ours = storage.volume_for(_claim(), Path("/state/volumes/team/data"))
    assert storage.released({**ours, "status": {"phase": "Bound"}}) is None
    assert storage.released({**ours, "status": {"phase": "Released"}}) == Path("/state/volumes/team/data")
    assert storage.released({"metadata": {}, "status": {"phase": "Released"}}) is None


class _Api:
    """As much of the API server as `storage.turn` needs."""

    def __init__(self, claims: list[dict[str, Any]], volumes: list[dict[str, Any]]) -> None:
        self.lists = {"claims": claims, "volumes": volumes}
        self.created: list[str] = []
        self.deleted: list[str] = []

    def request(self, verb: str, path: str) -> dict[str, Any]:
        if verb == "DELETE":
            self.deleted.append(path.rpartition("/")[2])
            return {}
        items = self.lists["claims" if path.endswith("claims") else "volumes"]
        return {"items": items, "metadata": {"resourceVersion": "7"}}

    def ensure(self, path: str, body: dict[str, Any]) -> None:
        self.created.append(body["metadata"]["name"])


def test_a_claim_made_again_waits_for_the_directory_of_its_predecessor(tmp_path: Path) -> None:
    at = Layout(tmp_path)
    directory = storage.directory_of(at, _claim())
    directory.mkdir(parents=True)
    old = storage.volume_for(_claim(), directory)
    new = {**_claim(), "metadata": {**_claim()["metadata"], "uid": "u2"}}
    still_bound = _Api([new], [{**old, "status": {"phase": "Bound"}}])
    assert storage.turn(still_bound, at) == ("7", True)  # type: ignore[arg-type]
    assert still_bound.created == []
    released = _Api([new], [{**old, "status": {"phase": "Released"}}])
    (directory / "old").touch()
    assert storage.turn(released, at) == ("7", False)  # type: ignore[arg-type]
    assert (released.deleted, released.created) == (["pvc-u1"], ["pvc-u2"])
    assert list(directory.iterdir()) == []


def test_nothing_outside_the_volumes_is_ever_removed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    stray = storage.volume_for(_claim(), precious)
    storage.turn(_Api([], [{**stray, "status": {"phase": "Released"}}]), Layout(tmp_path / "s"))  # type: ignore[arg-type]
    assert precious.exists()


def test_no_cluster_of_the_users_is_used_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "theirs"))
    monkeypatch.setenv("CLUSTER_KUBECONFIG", "")
    monkeypatch.setenv("CLUSTER_CONTEXT", "")
    assert existing.named() is None
    monkeypatch.setenv("CLUSTER_CONTEXT", "production")
    with pytest.raises(Failure, match="CLUSTER_KUBECONFIG"):
        existing.named()
    file = tmp_path / "config"
    file.write_text(json.dumps({}))
    monkeypatch.setenv("CLUSTER_KUBECONFIG", str(file))
    assert existing.named() == existing.Named(file, "production")


def test_what_an_existing_cluster_lacks_is_told() -> None:
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    default = {"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}
    assert existing.lacks({"major": "1", "minor": "34"}, [ready], [default]) == []
    assert len(existing.lacks({"major": "1", "minor": "27+"}, [], [])) == 3
