"""The certificate authority of a site: it signs the server's certificate and every agent's.

Invariants: every key is ECDSA P-256; an agent's private key never gets here, only its request does; the name in an
agent's certificate comes from the vault, never from the request. The vault knows an agent by its key, not by dates.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vaultd.errors import BadRequest

AUTHORITY_YEARS = 20
CERTIFICATE_YEARS = 10
# A certificate is valid from a day before it is made: a customer's clock may be slow by hours.
BACKDATED = timedelta(days=1)
LOCAL_HOSTS = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate_pem: bytes
    key_pem: bytes


def create_authority(name: str, now_ns: int) -> KeyPair:
    """A new site authority; `name` is only what people see in the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _common_name(f"{name} authority")
    builder = (
        _builder(subject, subject, key.public_key(), now_ns, AUTHORITY_YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
    )
    return KeyPair(_pem(builder.sign(key, hashes.SHA256())), _key_pem(key))


def issue_server(authority: KeyPair, hosts: Sequence[str], now_ns: int) -> KeyPair:
    """The server's certificate, for the given host names and addresses and for this machine itself."""
    names = list(dict.fromkeys([*hosts, *LOCAL_HOSTS]))
    issuer, issuer_key = _load(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_common_name(names[0]), issuer.subject, key.public_key(), now_ns, CERTIFICATE_YEARS)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return KeyPair(_pem(_sign_leaf(builder, issuer, issuer_key)), _key_pem(key))


def issue_agent(authority: KeyPair, certificate_request: bytes, computer_id: bytes, now_ns: int) -> bytes:
    """PEM certificate for the P-256 key of a DER request; of the request only its key is used."""
    public_key = request_key(certificate_request)
    issuer, issuer_key = _load(authority)
    builder = _builder(
        _common_name(computer_id.hex()), issuer.subject, public_key, now_ns, CERTIFICATE_YEARS
    ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return _pem(_sign_leaf(builder, issuer, issuer_key))


def request_key(certificate_request: bytes) -> ec.EllipticCurvePublicKey:
    """The key of a DER certificate request, after the request proved that its sender holds the private half."""
    try:
        request = x509.load_der_x509_csr(certificate_request)
        key = request.public_key()
        signed = request.is_signature_valid
    except Exception as problem:  # the parser raises many types for damaged input
        raise BadRequest("certificate_request is not a DER certificate request") from problem
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadRequest("certificate_request must hold an ECDSA P-256 key")
    if not signed:
        raise BadRequest("certificate_request is not signed by its own key")
    return key


def spki_of_request(certificate_request: bytes) -> bytes:
    """SubjectPublicKeyInfo (DER) of a checked request: what the vault will know the agent by."""
    return _spki(request_key(certificate_request))


def spki_of_certificate(certificate_der: bytes) -> bytes:
    """SubjectPublicKeyInfo (DER) of a certificate."""
    return _spki(x509.load_der_x509_certificate(certificate_der).public_key())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now_ns: int, years: int
) -> x509.CertificateBuilder:
    now = datetime.fromtimestamp(now_ns // 1_000_000_000, tz=UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=365 * years))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _sign_leaf(
    builder: x509.CertificateBuilder, issuer: x509.Certificate, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage("digital_signature"), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )


def _key_usage(*allowed: str) -> x509.KeyUsage:
    uses = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{use: use in allowed for use in uses})


def _load(authority: KeyPair) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = serialization.load_pem_private_key(authority.key_pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadRequest("the site authority's key is not an elliptic curve key")
    return x509.load_pem_x509_certificate(authority.certificate_pem), key


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _spki(key: object) -> bytes:
    return key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
