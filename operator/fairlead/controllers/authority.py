"""A certificate authority of our own for one name: what it has to say next, given what it has said. Pure, but for keys.

What is kept is the data of a Secret. An authority lives for a year, and the next one is there three months before its
end; until it has gone, both are believed. A certificate lives for three months, a third of which it has left when it
is replaced. So a change of one is never a change of the other: whoever still shows the certificate of before, and
whoever has not heard of the new authority yet, get on with everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Kept", "next_kept"]

_AUTHORITY_LIFE = timedelta(days=365)
_AUTHORITY_LEFT = timedelta(days=90)
_LIFE = timedelta(days=90)
_LEFT = timedelta(days=30)
#: Clocks differ: what is issued now is valid everywhere now.
_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept, all of it PEM.

    authorities
        the certificates of the authorities to believe, the present one first.
    authority_key
        the present one's.
    chain, key
        what a server shows, and what it signs with.
    """

    authorities: bytes
    authority_key: bytes
    chain: bytes
    key: bytes

    def data(self) -> dict[str, bytes]:
        """Return it as the data of a Secret."""
        return {
            "ca.crt": self.authorities,
            "ca.key": self.authority_key,
            "tls.crt": self.chain,
            "tls.key": self.key,
        }

    @classmethod
    def of(cls, data: Mapping[str, bytes]) -> Kept:
        """Read the data of a Secret; what is missing is empty."""
        return cls(*(data.get(name, b"") for name in ("ca.crt", "ca.key", "tls.crt", "tls.key")))


def next_kept(kept: Kept, host: str, now: datetime) -> Kept:
    """Return what is to be kept from now on: the same, where nothing is due or wrong."""
    authorities = [each for each in _certificates(kept.authorities) if now < each.not_valid_after_utc]
    authority_key = _key(kept.authority_key)
    chain = _certificates(kept.chain)
    works = bool(chain) and _serves(chain[0], _key(kept.key), authorities, host, now)
    if not authorities or not _is_pair(authorities[0], authority_key) or _left(authorities[0], now) < _AUTHORITY_LEFT:
        authority_key = ec.generate_private_key(ec.SECP256R1())
        authorities = [_new_authority(authority_key, host, now), *authorities]
        kept = Kept(_pem(*authorities), _key_pem(authority_key), kept.chain, kept.key)
        if works:
            return kept  # the certificate of before is good until everybody has heard of the new authority
    if works and _left(chain[0], now) >= _LEFT:
        return kept
    assert authority_key is not None, "one that is missing has been made"
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _issue(authorities[0], authority_key, key, host, now)
    return Kept(_pem(*authorities), kept.authority_key, _pem(certificate), _key_pem(key))


def _serves(
    certificate: x509.Certificate,
    key: ec.EllipticCurvePrivateKey | None,
    authorities: list[x509.Certificate],
    host: str,
    now: datetime,
) -> bool:
    """Tell whether a server may show a certificate, now and for this name."""
    return (
        certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc
        and _is_pair(certificate, key)
        and host in _names(certificate)
        and any(_is_issued_by(certificate, each) for each in authorities)
    )


def _is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None) -> bool:
    return key is not None and certificate.public_key() == key.public_key()


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return found.value.get_values_for_type(x509.DNSName)


def _left(certificate: x509.Certificate, now: datetime) -> timedelta:
    return certificate.not_valid_after_utc - now


def _new_authority(key: ec.EllipticCurvePrivateKey, host: str, now: datetime) -> x509.Certificate:
    # A name of its own for each, so that nobody takes one for another.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"fairlead {now:%Y-%m-%d %H:%M:%S}")])
    builder = _builder(name, name, key, now, now + _AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    # Whoever gets hold of its key can speak for this name and for no other.
    permitted = x509.NameConstraints(permitted_subtrees=[x509.DNSName(host)], excluded_subtrees=None)
    return builder.add_extension(permitted, critical=True).sign(key, hashes.SHA256())


def _issue(
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
    host: str,
    now: datetime,
) -> x509.Certificate:
    # The common name holds no more than 64 characters; what counts is the alternative name.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fairlead webhook")])
    until = min(now + _LIFE, authority.not_valid_after_utc)
    builder = _builder(subject, authority.subject, key, now, until)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return builder.add_extension(identifier, critical=False).sign(authority_key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _certificates(text: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text) if text else []
    except ValueError:
        return []  # somebody else has written there


def _key(text: bytes) -> ec.EllipticCurvePrivateKey | None:
    try:
        found = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError):
        return None
    return found if isinstance(found, ec.EllipticCurvePrivateKey) else None


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
