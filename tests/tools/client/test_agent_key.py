import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.tools.client import second_implementation as second
from tests.tools.client.vectors import load
from tools.client.agent_key import AgentKey, create_agent_key, fingerprint, fingerprint_bytes
from tools.client.certificate_request import certificate_request
from tools.client.fingerprint import parse_fingerprint
from tools.client.record_format import IntegrityError

V = load("job_secret")
KEY = AgentKey(V["tls_private_pem"].encode(), V["sealing_private"])


def test_the_frozen_fingerprint_holds():
    public = second.public_of(1, V["sealing_private"])
    assert second.fingerprint(V["spki"], public) == V["fingerprint"]
    assert (KEY.spki, KEY.sealing_public, KEY.fingerprint) == (V["spki"], public, V["fingerprint"])
    assert fingerprint_bytes(V["spki"], public) == V["fingerprint"]
    assert fingerprint(V["spki"], public) == V["fingerprint_text"]
    assert parse_fingerprint(V["fingerprint_text"]) == V["fingerprint"]
    assert parse_fingerprint(f" {V['fingerprint_text'].lower().replace('-', ' ')}") == V["fingerprint"]


def test_openssl_names_the_same_public_key():
    command = ["openssl", "pkey", "-pubout", "-outform", "DER"]
    printed = subprocess.run(command, input=KEY.tls_private_pem, capture_output=True, check=True).stdout
    assert printed == KEY.spki


@pytest.mark.parametrize("text", ["", "AAAA", V["fingerprint_text"][:-1], V["fingerprint_text"] + "A", "U" * 32])
def test_what_is_no_fingerprint_is_refused(text):
    with pytest.raises(ValueError, match="32 characters"):
        parse_fingerprint(text)


def test_a_fingerprint_needs_a_whole_sealing_key():
    with pytest.raises(IntegrityError, match="1216"):
        fingerprint(V["spki"], bytes(32))


def test_new_keys_are_new_and_sign_a_request():
    key, other = create_agent_key(), create_agent_key()
    assert key.fingerprint != other.fingerprint
    request = x509.load_der_x509_csr(certificate_request(key, "päckchen"))
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=päckchen"
    assert isinstance(request.public_key(), ec.EllipticCurvePublicKey)
    assert "BEGIN" not in repr(key)
