"""The one real node: containerd, the kubelet and kube-proxy. Pure, like `controlplane.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from e2e.devcluster.certificates import component_kubeconfig
from e2e.devcluster.state import (
    GATEWAY,
    KUBELET_HEALTH_PORT,
    KUBELET_PORT,
    NODE_NAME,
    POD_SUBNET,
    PROXY_HEALTH_PORT,
    PROXY_METRICS_PORT,
    Layout,
)

PAUSE_IMAGE = "localhost/fairlead-devcluster/pause:1"


def containerd(program: str, at: Layout) -> list[str]:
    """A containerd of our own, beside any that the machine has."""
    return [program, "--config", str(at.config / "containerd.toml")]


def containerd_config(at: Layout, plugins: Path) -> str:
    """Its configuration: only what differs from the defaults."""
    root = at.containerd
    return f"""\
version = 2
root = "{root}/root"
state = "{root}/run"

[grpc]
  address = "{at.containerd_socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE (machines that are containers) no container would start otherwise.
  restrict_oom_score_adj = true
  # Below the state directory, where clearing finds the network namespaces of a killed run.
  netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{plugins}"
  conf_dir = "{at.cni}/conf"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  Root = "{root}/runc"
"""


def kubelet(program: Path, at: Layout) -> list[str]:
    """The kubelet. Its address is the bridge's gateway: the same wherever the machine is plugged in."""
    return [
        str(program),
        f"--config={at.config}/kubelet.json",
        f"--kubeconfig={component_kubeconfig(at, 'kubelet')}",
        f"--root-dir={at.kubelet}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={GATEWAY}",
        f"--cert-dir={at.config}/kubelet-serving",
    ]


def kubelet_config(at: Layout, nameservers: Sequence[str]) -> dict[str, Any]:
    """The kubelet's configuration. Pods resolve names as the machine does: there is no DNS in the cluster."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": GATEWAY,
        "port": KUBELET_PORT,
        "healthzPort": KUBELET_HEALTH_PORT,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{at.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{at.pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{at.pki}/kubelet.key",
        "containerRuntimeEndpoint": f"unix://{at.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{at.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        # kube-proxy's chains are enough; the kubelet's would stay behind on the machine.
        "makeIPTablesUtilChains": False,
        "localStorageCapacityIsolation": False,
        "enforceNodeAllocatable": [],
        "podLogsDir": str(at.pod_logs),
        # Without one the kubelet writes a warning event for every pod.
        "clusterDNS": list(nameservers),
        "volumePluginDir": f"{at.config}/volume-plugins",
        "serializeImagePulls": False,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "maxPods": 500,
        "registryPullQPS": 0,
        # The images have no registry to come back from, and a full disk is the user's to see, not ours to evict for.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "shutdownGracePeriod": "0s",
        "logging": {"format": "text"},
    }


def proxy(program: Path, at: Layout) -> list[str]:
    """kube-proxy: service addresses inside pods."""
    return [str(program), f"--config={at.config}/proxy.json"]


def proxy_config(at: Layout) -> dict[str, Any]:
    """Its configuration; the conntrack zeroes leave the machine's own limits alone."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(component_kubeconfig(at, "proxy"))},
        "hostnameOverride": NODE_NAME,
        "mode": "iptables",
        "bindAddress": GATEWAY,
        "clusterCIDR": POD_SUBNET,
        "healthzBindAddress": f"127.0.0.1:{PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{PROXY_METRICS_PORT}",
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        # Pods share one bridge: an answer must come back through the gateway to be translated.
        "iptables": {"masqueradeAll": True, "localhostNodePorts": False},
    }


def nameservers(resolv_conf: str) -> list[str]:
    """The machine's name servers that a pod can reach: a loopback address is the pod's own there."""
    lines = (line.split() for line in resolv_conf.splitlines())
    found = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
    return [each for each in found if not each.startswith(("127.", "::1"))][:3] or [GATEWAY]
