"""An authority, a server and an agent, made anew for a test."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
STILL_LONG_AGO = datetime.datetime(2002, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Site:
    """Every certificate expired in 2002: validity is the application's to judge."""

    directory: Path
    ca_pem: str
    server_cert: str
    server_key: str
    agent_cert: str
    agent_key: str
    agent_der: bytes

    @property
    def ca_file(self) -> str:
        return str(self.directory / "ca.pem")


def make_site(directory: Path, *, addresses: tuple[str, ...] = ("127.0.0.1",), valid_now: bool = False) -> Site:
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("site authority", ca_key, "site authority", ca_key, ca=True, valid_now=valid_now)
    server_key = ec.generate_private_key(ec.SECP256R1())
    server = _certificate("vault", server_key, "site authority", ca_key, addresses=addresses, valid_now=valid_now)
    agent_key = ec.generate_private_key(ec.SECP256R1())
    agent = _certificate("agent", agent_key, "site authority", ca_key, valid_now=valid_now)
    ca_pem = ca.public_bytes(serialization.Encoding.PEM).decode()
    (directory / "ca.pem").write_text(ca_pem)
    return Site(
        directory,
        ca_pem,
        _write_certificate(directory / "server.pem", server),
        _write_key(directory / "server.key", server_key),
        _write_certificate(directory / "agent.pem", agent),
        _write_key(directory / "agent.key", agent_key),
        agent.public_bytes(serialization.Encoding.DER),
    )


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    ca: bool = False,
    addresses: tuple[str, ...] = (),
    valid_now: bool = False,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(LONG_AGO)
        .not_valid_after(now + datetime.timedelta(days=1) if valid_now else STILL_LONG_AGO)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if addresses:
        names = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _write_certificate(path: Path, certificate: x509.Certificate) -> str:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return str(path)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> str:
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(path)
