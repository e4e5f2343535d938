"""The webhook's own authority: what it issues is believed, and nobody is left alone by a renewal."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import verification

from fairlead.controllers.authority import Kept, next_kept

HOST = "fairlead-webhook.fairlead.svc"
NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
NOTHING = Kept(b"", b"", b"", b"")


def days(number: float) -> datetime:
    return NOW + timedelta(days=number)


@pytest.fixture(scope="module")
def first() -> Kept:
    return next_kept(NOTHING, HOST, NOW)


def believed(chain: bytes, authorities: bytes, when: datetime, host: str = HOST) -> bool:
    """Whether somebody who believes these authorities would talk to a server that shows this chain."""
    store = verification.Store(x509.load_pem_x509_certificates(authorities))
    verifier = verification.PolicyBuilder().store(store).time(when).build_server_verifier(x509.DNSName(host))
    try:
        verifier.verify(x509.load_pem_x509_certificate(chain), [])
    except verification.VerificationError:
        return False
    return True


def test_the_first_one_is_made_at_once_and_serves(first: Kept, tmp_path: Path) -> None:
    assert believed(first.chain, first.authorities, NOW)
    for name, text in (("chain", first.chain), ("key", first.key)):
        (tmp_path / name).write_bytes(text)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "chain", tmp_path / "key")


def test_it_speaks_for_its_name_only(first: Kept) -> None:
    assert not believed(first.chain, first.authorities, NOW, "kubernetes.default.svc")


def test_it_is_valid_where_clocks_are_behind(first: Kept) -> None:
    assert believed(first.chain, first.authorities, NOW - timedelta(minutes=50))


@pytest.mark.parametrize("day", [0, 30, 59])
def test_what_is_good_stays(first: Kept, day: int) -> None:
    assert next_kept(first, HOST, days(day)) == first


def test_a_certificate_is_replaced_a_month_before_its_end_by_the_same_authority(first: Kept) -> None:
    later = next_kept(first, HOST, days(61))
    assert (later.authorities, later.authority_key) == (first.authorities, first.authority_key)
    assert later.chain != first.chain
    assert believed(later.chain, first.authorities, days(61))


def test_a_new_authority_is_believed_before_it_issues_anything(first: Kept) -> None:
    """Whoever has not heard of one of the two steps yet gets on with everybody."""
    kept, moment = first, NOW
    steps = [first]
    while moment < days(800):
        after = next_kept(kept, HOST, moment)
        if after != kept:
            # Of a replica that still shows the chain of before, and an API server that has the authorities of before.
            assert believed(kept.chain, after.authorities, moment)
            assert believed(after.chain, kept.authorities, moment)
            steps.append(after)
        kept = after
        assert believed(kept.chain, kept.authorities, moment)
        moment += timedelta(hours=6)
    assert len({step.authority_key for step in steps}) == 3
    assert len(x509.load_pem_x509_certificates(kept.authorities)) <= 2


@pytest.mark.parametrize(
    "missing",
    [
        Kept(b"", b"", b"", b""),
        Kept(b"nonsense", b"nonsense", b"nonsense", b"nonsense"),
    ],
    ids=["nothing", "nonsense"],
)
def test_whatever_is_found_there_becomes_good(missing: Kept) -> None:
    made = next_kept(missing, HOST, NOW)
    assert believed(made.chain, made.authorities, NOW)


@pytest.mark.parametrize("part", ["authorities", "authority_key", "chain", "key"])
def test_a_part_that_is_missing_is_made_anew(first: Kept, part: str) -> None:
    parts = {name: getattr(first, name) for name in ("authorities", "authority_key", "chain", "key")}
    made = next_kept(Kept(**parts | {part: b""}), HOST, days(1))
    for _ in range(2):  # with a good certificate left, an authority comes first
        made = next_kept(made, HOST, days(1))
    assert believed(made.chain, made.authorities, days(1))
    assert next_kept(made, HOST, days(1)) == made


def test_another_name_or_a_long_absence_makes_a_new_certificate(first: Kept) -> None:
    renamed = next_kept(first, "other.fairlead.svc", NOW)
    assert not believed(renamed.chain, renamed.authorities, NOW)
    late = next_kept(first, HOST, days(1000))
    assert believed(late.chain, late.authorities, days(1000))


def test_it_is_read_back_from_a_secret(first: Kept) -> None:
    assert Kept.of(first.data()) == first
    assert set(first.data()) == {"ca.crt", "ca.key", "tls.crt", "tls.key"}
    assert Kept.of({}) == NOTHING
