"""Which addresses a request may be sent to. Pure.

A workflow's author is not the cluster's administrator, and the operator sits where the author may not be: next to the
cluster's own services, and to the cloud's metadata server, which hands out credentials. So only public addresses are
free. Private ones need two to agree: the administrator, who names networks at the operator's start, and the task, by
`allowPrivate`. Metadata servers and what no request is meant for are out of reach for everybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TypeAlias

__all__ = ["EVERYWHERE", "Addresses", "Network", "parse_network"]

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

#: Allows all private networks: for runs on somebody's own machine.
EVERYWHERE: tuple[Network, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))

_METADATA = "belongs to a cloud's metadata server"
_LINK_LOCAL = "is link-local, where clouds have their metadata servers"

#: Never connected to, whatever anybody allows.
_NEVER: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), why)
    for network, why in (
        ("0.0.0.0/8", "is unspecified"),
        ("169.254.0.0/16", _LINK_LOCAL),
        ("100.100.100.200/32", _METADATA),  # Alibaba Cloud
        ("168.63.129.16/32", _METADATA),  # Azure's platform address: public by its number, local by its nature
        ("192.0.0.192/32", _METADATA),  # Oracle Cloud, of old
        ("224.0.0.0/4", "is multicast"),
        ("240.0.0.0/4", "is reserved"),  # broadcast, too
        ("::/128", "is unspecified"),
        ("fe80::/10", _LINK_LOCAL),
        ("fec0::/10", "is site-local"),
        ("fd00:ec2::/32", _METADATA),  # AWS: instance metadata, pod identity, time
        ("fd20:ce::254/128", _METADATA),  # Google Cloud
        ("ff00::/8", "is multicast"),
        # Tunnels hold another address inside, which no firewall of today looks at.
        ("2001::/32", "is a Teredo tunnel"),
        ("2002::/16", "is a 6to4 tunnel"),
    )
)

#: Not public: the special-purpose registries of IANA. The standard library's `is_global` knows most of them, but what
#: it knows differs between releases of the same Python.
_PRIVATE: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "::/8",  # loopback, IPv4-compatible, local-use NAT64; what is embedded is taken out before
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
    )
)

#: IPv6 addresses that reach the IPv4 address in their last four bytes: mapped ones, and those of NAT64 (RFC 6052), by
#: which a cluster that has IPv6 only reaches the rest of the world.
_EMBEDDING = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))


class Addresses:
    """What may be connected to. `private` are the networks that tasks with `allowPrivate` may reach besides."""

    def __init__(self, private: Iterable[Network] = ()) -> None:
        self._private = tuple(private)

    def problem(self, address: str, *, allow_private: bool) -> str:
        """Return why an address, as a socket would be given it, must not be connected to; "" if it may be.

        `allow_private` is the task's own word.
        """
        try:
            parsed = _bare(ip_address(address))
        except ValueError:
            return f"{address!r} is no address"
        for network, why in _NEVER:
            if parsed in network:
                return f"{parsed} {why}"
        if parsed.is_global and not any(parsed in network for network in _PRIVATE):
            return ""
        if not any(parsed in network for network in self._private):
            return f"{parsed} is not public, and the operator's --http-allow-private does not include it"
        return "" if allow_private else f"{parsed} is not public, and the task does not set allowPrivate"


def parse_network(text: str) -> Network:
    """Read `10.0.0.0/8`, or a single address.

    Raises:
        ValueError: it is neither; the message says what is wrong.
    """
    return ip_network(text.strip())


def _bare(address: Address) -> Address:
    """Return the address that is really reached."""
    if isinstance(address, IPv6Address):
        if any(address in network for network in _EMBEDDING):
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return IPv6Address(int(address))  # without the scope of `fe80::1%eth0`
    return address
