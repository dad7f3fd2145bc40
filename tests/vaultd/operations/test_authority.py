"""The site's certificates, judged by openssl."""

import subprocess
from pathlib import Path

import pytest

from vaultd.errors import BadRequest
from vaultd.operations.authority import (
    create_authority,
    issue_agent,
    issue_server,
    spki_of_certificate,
    spki_of_request,
)

NOW_NS = 1_800_000_000_000_000_000
COMPUTER_ID = bytes(range(16))


def openssl(*words: object, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True, check=True).stdout


def new_request(directory: Path, *key: str) -> tuple[bytes, bytes]:
    """A DER request for any name, and the DER public key, both made by openssl."""
    path = directory / "agent.key"
    openssl("genpkey", *key, "-out", path)
    request = openssl("req", "-new", "-key", path, "-subj", "/CN=somebody else", "-outform", "DER")
    return request, openssl("pkey", "-in", path, "-pubout", "-outform", "DER")


P256 = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


def test_a_server_certificate_holds_for_its_names(tmp_path: Path) -> None:
    authority = create_authority("Nord", NOW_NS)
    server = issue_server(authority, ["backup.example", "192.0.2.7"], NOW_NS)
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    (tmp_path / "server.pem").write_bytes(server.certificate_pem)
    at = ("-attime", NOW_NS // 10**9)
    for name in (
        ("-verify_hostname", "backup.example"),
        ("-verify_ip", "192.0.2.7"),
        ("-verify_hostname", "localhost"),
        ("-verify_ip", "127.0.0.1"),
    ):
        openssl("verify", *at, "-purpose", "sslserver", *name, "-CAfile", tmp_path / "ca.pem", tmp_path / "server.pem")
    with pytest.raises(subprocess.CalledProcessError):
        openssl(
            "verify", *at, "-verify_hostname", "other.example", "-CAfile", tmp_path / "ca.pem", tmp_path / "server.pem"
        )


def test_the_authority_may_sign_leaves_only() -> None:
    text = openssl("x509", "-noout", "-text", data=create_authority("Nord", NOW_NS).certificate_pem).decode()
    assert "CA:TRUE, pathlen:0" in text
    assert "Certificate Sign, CRL Sign" in text
    assert "prime256v1" in text


def test_an_agent_certificate_names_the_computer_and_holds_its_key(tmp_path: Path) -> None:
    request, public_key = new_request(tmp_path, *P256)
    authority = create_authority("Nord", NOW_NS)
    certificate = issue_agent(authority, request, COMPUTER_ID, NOW_NS)
    assert openssl("x509", "-noout", "-subject", "-nameopt", "RFC2253", data=certificate).decode().strip() == (
        "subject=CN=000102030405060708090a0b0c0d0e0f"
    )
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    (tmp_path / "agent.pem").write_bytes(certificate)
    at = ("-attime", NOW_NS // 10**9)
    openssl("verify", *at, "-purpose", "sslclient", "-CAfile", tmp_path / "ca.pem", tmp_path / "agent.pem")
    with pytest.raises(subprocess.CalledProcessError):
        openssl("verify", *at, "-purpose", "sslserver", "-CAfile", tmp_path / "ca.pem", tmp_path / "agent.pem")
    der = openssl("x509", "-outform", "DER", data=certificate)
    assert spki_of_certificate(der) == spki_of_request(request) == public_key


@pytest.mark.parametrize("key", [("-algorithm", "RSA"), ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384")])
def test_other_keys_are_refused(tmp_path: Path, key: tuple[str, ...]) -> None:
    request, _ = new_request(tmp_path, *key)
    with pytest.raises(BadRequest, match="must hold an ECDSA P-256 key"):
        spki_of_request(request)


def test_a_request_that_its_key_did_not_sign_is_refused(tmp_path: Path) -> None:
    request, _ = new_request(tmp_path, *P256)
    changed = request.replace(b"somebody else", b"somebody elsf")
    with pytest.raises(BadRequest, match="not signed by its own key"):
        spki_of_request(changed)


@pytest.mark.parametrize("data", [b"", b"\x30\x80", b"-----BEGIN CERTIFICATE REQUEST-----"])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest, match="is not a DER certificate request"):
        spki_of_request(data)
