"""Where requests of users may go: the table that nothing else in the operator may contradict."""

from __future__ import annotations

import pytest

from fairlead.egress.addresses import EVERYWHERE, Addresses, parse_network

PUBLIC = ["1.1.1.1", "93.184.216.34", "172.15.0.1", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450:4001::200e"]
PUBLIC += ["::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]

PRIVATE = [
    "10.0.0.1",
    "10.96.0.1",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.255.255.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.254",
    "198.51.100.1",
    "203.0.113.1",
    "::1",
    "::7f00:1",
    "::10.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "0:0:0:0:0:ffff:192.168.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fd00:ec1::254",
]

NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "192.0.0.192",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::ffff:0.0.0.0",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::ffff:255.255.255.255",
    "64:ff9b::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2001:0:a9fe:a9fe::1",
    "2002:a9fe:a9fe::1",
    "2002:7f00:1::1",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd00:ec2::254%1",
    "::ffff:169.254.169.254%1",
    "fd20:ce::254",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
@pytest.mark.parametrize("allow_private", [False, True])
def test_public_addresses_are_free(address: str, allow_private: bool) -> None:
    assert Addresses().problem(address, allow_private=allow_private) == ""


@pytest.mark.parametrize("address", PRIVATE)
class TestPrivateAddresses:
    def test_the_task_alone_cannot_allow_them(self, address: str) -> None:
        problem = Addresses().problem(address, allow_private=True)
        assert "is not public, and the operator's --http-allow-private does not include it" in problem

    def test_the_operator_alone_does_not_allow_them(self, address: str) -> None:
        problem = Addresses(EVERYWHERE).problem(address, allow_private=False)
        assert "is not public, and the task does not set allowPrivate" in problem

    def test_both_together_allow_them(self, address: str) -> None:
        assert Addresses(EVERYWHERE).problem(address, allow_private=True) == ""


@pytest.mark.parametrize("address", NEVER)
def test_nobody_can_allow_these(address: str) -> None:
    assert Addresses(EVERYWHERE).problem(address, allow_private=True) != ""


@pytest.mark.parametrize(
    ("allowed", "address", "fine"),
    [
        ("10.1.0.0/16", "10.1.2.3", True),
        ("10.1.0.0/16", "10.2.0.1", False),
        ("10.1.0.0/16", "::ffff:10.1.2.3", True),
        ("10.1.0.0/16", "64:ff9b::10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("fd12::/16", "fd12::1", True),
        ("fd12::/16", "10.1.2.3", False),
        ("::ffff:0:0/96", "10.1.2.3", False),
    ],
)
def test_only_the_networks_that_are_named_are_allowed(allowed: str, address: str, fine: bool) -> None:
    problem = Addresses([parse_network(allowed)]).problem(address, allow_private=True)
    assert (problem == "") is fine


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "1.1.1.1:80", "[::1]"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    assert Addresses(EVERYWHERE).problem(text, allow_private=True).endswith("is no address")


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "10.0.0.0/33", "example.org", "10.0.0.0/8,192.168.0.0/16"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_network(text)
