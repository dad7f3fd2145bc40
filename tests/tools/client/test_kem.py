import pytest

from tests.tools.client import second_implementation as second
from tools.client import kem
from tools.client.record_format import IntegrityError

KEMS = [kem.KEM_HYBRID, kem.KEM_X25519]


@pytest.mark.parametrize("number", KEMS)
def test_both_implementations_open_what_the_other_sealed(number):
    pair = kem.generate_key_pair(number)
    assert pair.public_key == second.public_of(number, pair.private_key)
    ours = kem.seal(number, pair.public_key, b"plaintext", b"info")
    assert second.hpke_open(number, pair.private_key, ours, b"info") == b"plaintext"
    theirs = second.hpke_seal(number, pair.public_key, b"plaintext", b"info")
    assert kem.open_sealed(number, pair.private_key, theirs, b"info") == b"plaintext"
    assert len(ours) == len(theirs) == (1120 if number == 1 else 32) + 9 + 16


@pytest.mark.parametrize("number", KEMS)
def test_nothing_changed_opens(number):
    pair, other = kem.generate_key_pair(number), kem.generate_key_pair(number)
    sealed = kem.seal(number, pair.public_key, b"plaintext", b"info")
    step = 37 if number == 1 else 1
    tampered = [sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :] for i in range(0, len(sealed), step)]
    for bad in [*tampered, sealed[:-1], sealed + b"x", b"", sealed[:40]]:
        with pytest.raises(IntegrityError, match="did not open"):
            kem.open_sealed(number, pair.private_key, bad, b"info")
    with pytest.raises(IntegrityError, match="did not open"):
        kem.open_sealed(number, pair.private_key, sealed, b"other")
    with pytest.raises(IntegrityError, match="did not open"):
        kem.open_sealed(number, other.private_key, sealed, b"info")


def test_keys_of_a_wrong_length_or_kem_are_refused():
    with pytest.raises(IntegrityError, match="private key has 31"):
        kem.public_of(2, bytes(31))
    with pytest.raises(IntegrityError, match="public key has 32"):
        kem.seal(1, bytes(32), b"x", b"")
    for call in (kem.generate_key_pair, lambda number: kem.seal(number, b"", b"", b"")):
        with pytest.raises(IntegrityError, match="KEM 9"):
            call(9)


def test_a_public_key_that_is_no_point_is_refused():
    with pytest.raises(IntegrityError, match="public key"):
        kem.seal(2, bytes(32), b"x", b"")
    with pytest.raises(IntegrityError, match="public key"):
        kem.seal(1, b"\xff" * 1216, b"x", b"")
