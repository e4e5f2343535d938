"""The pod network: one bridge with the gateway's address, and two rules so that pods reach out.

The bridge is there before the API server, which advertises the gateway as its address. All names are our own, so
that clearing removes exactly these.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from e2e.devcluster.packages import Need, find
from e2e.devcluster.progress import Failure, run
from e2e.devcluster.state import BRIDGE, GATEWAY, POD_SUBNET, Layout

NETWORK = "fairlead-devcluster"
_LEFT_CHAIN = "KUBE-FIREWALL"
_RESULTS = Path("/var/lib/cni/results")  # libcni's own, cannot be moved


def set_up(at: Layout) -> None:
    """Make the bridge, the forwarding rules and the CNI configuration."""
    prefix = POD_SUBNET.rpartition("/")[2]
    if not _bridge_exists():
        run([_ip(), "link", "add", BRIDGE, "type", "bridge"])
    run([_ip(), "address", "replace", f"{GATEWAY}/{prefix}", "dev", BRIDGE])
    run([_ip(), "link", "set", BRIDGE, "up"])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")
    for table, chain, rule in rules():
        if not _has_rule(table, chain, rule):
            run([_iptables(), "-w", "-t", table, "-I", chain, "1", *rule])
    conf = at.cni / "conf"
    conf.mkdir(parents=True, exist_ok=True)
    (conf / "10-fairlead.conflist").write_text(json.dumps(conflist(at.cni / "data"), indent=2) + "\n")


def tear_down() -> None:
    """Remove what `set_up` made; what is gone already is fine."""
    ip, iptables = find(Need("iproute2", ("ip",))), find(Need("iptables", ("iptables",)))
    if iptables:
        for table, chain, rule in rules():
            while _has_rule(table, chain, rule):
                run([iptables, "-w", "-t", table, "-D", chain, *rule])
    for program in ("iptables", "ip6tables"):
        if found := find(Need("iptables", (program,))):
            _drop_empty_chain(found)
    if ip and _bridge_exists():
        run([ip, "link", "delete", BRIDGE])
    for leftover in _RESULTS.glob(f"{NETWORK}-*"):
        leftover.unlink(missing_ok=True)


def conflist(data: Path) -> dict[str, object]:
    """The CNI configuration. Masquerading is ours (below): a plugin's chain per pod would outlive a killed run."""
    return {
        "cniVersion": "0.4.0",
        "name": NETWORK,
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isDefaultGateway": True,
                "hairpinMode": True,
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(data),
                    "ranges": [[{"subnet": POD_SUBNET, "gateway": GATEWAY}]],
                },
            }
        ],
    }


def rules() -> Iterator[tuple[str, str, list[str]]]:
    """The (table, chain, rule) triples: pods reach out, and a firewall of Docker's does not drop them."""
    comment = ["-m", "comment", "--comment", NETWORK]
    yield "nat", "POSTROUTING", ["-s", POD_SUBNET, "!", "-d", POD_SUBNET, *comment, "-j", "MASQUERADE"]
    yield "filter", "FORWARD", ["-i", BRIDGE, *comment, "-j", "ACCEPT"]
    yield "filter", "FORWARD", ["-o", BRIDGE, *comment, "-j", "ACCEPT"]


def plugins_directory() -> Path:
    """Where the CNI plugins are: Debian's place, or the one that most others use."""
    for place in (Path("/usr/lib/cni"), Path("/opt/cni/bin")):
        if (place / "bridge").exists() and (place / "host-local").exists():
            return place
    raise Failure("no CNI plugins on this machine", "package containernetworking-plugins")


def _drop_empty_chain(iptables: str) -> None:
    """Remove the one chain that kube-proxy's own clean-up empties and leaves; with rules in it, it is another's."""
    command = [iptables, "-w", "-t", "filter"]
    try:
        if len(run([*command, "-S", _LEFT_CHAIN]).splitlines()) > 1:
            return
    except Failure:
        return  # there is none
    for chain in ("INPUT", "OUTPUT"):
        jump = ["-j", _LEFT_CHAIN]
        while _has_rule("filter", chain, jump, iptables):
            run([*command, "-D", chain, *jump])
    run([*command, "-X", _LEFT_CHAIN])


def _bridge_exists() -> bool:
    try:
        run([_ip(), "link", "show", "dev", BRIDGE])
    except Failure:
        return False
    return True


def _has_rule(table: str, chain: str, rule: list[str], iptables: str = "") -> bool:
    try:
        run([iptables or _iptables(), "-w", "-t", table, "-C", chain, *rule])
    except Failure:
        return False
    return True


def _ip() -> str:
    return find(Need("iproute2", ("ip",))) or "ip"


def _iptables() -> str:
    return find(Need("iptables", ("iptables",))) or shutil.which("iptables") or "iptables"
