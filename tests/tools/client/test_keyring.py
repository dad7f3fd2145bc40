from dataclasses import replace

import msgpack
import pytest

from tests.tools.client import second_implementation as second
from tests.tools.client.vectors import load
from tools.client.keyring import (
    Keyring,
    SigningKey,
    Unattended,
    create_keyring,
    decode_keyring,
    encode_keyring,
    file_hash_key,
    manifest_cut_key,
    signing_public_key,
)
from tools.client.record_format import IntegrityError, LaterVersion

V = load("keyring")


def test_the_frozen_keyring_holds():
    keyring = decode_keyring(V["keyring"])
    assert encode_keyring(keyring) == V["keyring"]
    assert keyring.keyring_id == V["keyring_id"]
    assert [(g.number, g.kem, len(g.private_key), len(g.public_key), g.minimum_suite) for g in keyring.generations] == [
        (1, 2, 32, 32, 1),
        (2, 1, 96, 1216, 2),
    ]
    assert keyring.newest is keyring.generation(2)


def test_a_signing_key_holds_from_its_generation_to_that_of_the_next():
    first, second_ = decode_keyring(V["keyring"]).generations
    other = SigningKey(bytes(16), 1, bytes(32))
    later = SigningKey(V["job"], 3, V["signing_seed"])
    earlier = SigningKey(V["job"], 1, V["newest_signing_seed"])
    generations = (first, second_, replace(second_, number=3), replace(second_, number=9))
    keyring = Keyring(V["keyring_id"], generations, (other, earlier, later))
    seeds = [keyring.signing_seed(V["job"], number) for number in (1, 2, 3, 9)]
    assert seeds == [V["newest_signing_seed"]] * 2 + [V["signing_seed"]] * 2
    frozen = decode_keyring(V["keyring"])
    assert frozen.signing_seed(V["job"], 1) == V["signing_seed"]
    assert frozen.signing_seed(V["job"], 2) == V["newest_signing_seed"]


def test_the_frozen_part_of_the_agent_holds_and_has_no_private_key():
    keyring = decode_keyring(V["keyring"])
    unattended = Unattended.of(keyring, V["job"])
    assert unattended.encode() == V["unattended"]
    assert Unattended.decode(V["unattended"]) == unattended
    assert all(generation.private_key not in V["unattended"] for generation in keyring.generations)


def test_derived_keys_are_those_of_the_page():
    assert file_hash_key(V["id_key"]) == V["file_hash_key"] == second.b3(b"safeset file hash v1", V["id_key"])
    assert manifest_cut_key(V["id_key"]) == V["manifest_cut_key"] == second.b3(b"safeset manifest cut v1", V["id_key"])
    assert signing_public_key(V["signing_seed"]) == V["signing_key"]


@pytest.mark.parametrize("kem", [1, 2])
def test_a_new_keyring_has_fresh_keys_that_fit_each_other(kem):
    one, two = create_keyring(b"j" * 16, 2, kem), create_keyring(b"j" * 16, 2, kem)
    assert decode_keyring(encode_keyring(one)) == one
    assert one.newest.minimum_suite == 2
    assert one.newest.public_key == second.public_of(kem, one.newest.private_key)
    for field in ("private_key", "public_key", "id_key", "chunker_seed"):
        assert getattr(one.newest, field) != getattr(two.newest, field)
    assert one.keyring_id != two.keyring_id
    assert one.signing != two.signing


def test_no_secret_is_in_a_repr():
    keyring = create_keyring(b"j" * 16)
    unattended = Unattended.of(keyring, b"j" * 16)
    shown = repr(keyring) + repr(unattended)
    newest = keyring.newest
    for secret in (newest.private_key, newest.id_key, newest.chunker_seed, keyring.signing_seed(b"j" * 16, 1)):
        assert repr(secret)[2:-1] not in shown


def test_what_a_keyring_does_not_have_is_an_error():
    keyring = decode_keyring(V["keyring"])
    with pytest.raises(IntegrityError, match="generation 3"):
        keyring.generation(3)
    with pytest.raises(IntegrityError, match="no signing key"):
        keyring.signing_seed(bytes(16), 1)
    with pytest.raises(IntegrityError, match="generation 3"):
        keyring.signing_seed(V["job"], 3)
    early = replace(keyring, signing=keyring.signing[1:])
    with pytest.raises(IntegrityError, match="no signing key .* in generation 1"):
        early.signing_seed(V["job"], 1)


def changed(packed, *path_and_value):
    *path, last, value = path_and_value
    array = msgpack.unpackb(packed)
    place = array
    for step in path:
        place = place[step]
    place[last] = value
    return msgpack.packb(array)


KEYRING = V["keyring"]
SIGNING = msgpack.unpackb(KEYRING)[3]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (changed(KEYRING, 0, 2), "version"),
        (changed(KEYRING, 1, bytes(15)), "keyring id"),
        (changed(KEYRING, 1, "x" * 16), "keyring id"),
        (changed(KEYRING, 2, []), "generations"),
        (changed(KEYRING, 2, 0, 0, 2), "generations"),
        (changed(KEYRING, 2, 0, 0, 0), "generation"),
        (changed(KEYRING, 2, 0, 1, 256), "KEM"),
        (changed(KEYRING, 2, 0, 1, 1), "private key"),
        (changed(KEYRING, 2, 0, 2, bytes(31)), "private key"),
        (changed(KEYRING, 2, 0, 3, bytes(32)), "does not belong"),
        (changed(KEYRING, 2, 1, 4, bytes(31)), "id key"),
        (changed(KEYRING, 2, 1, 5, bytes(9)), "chunker seed"),
        (changed(KEYRING, 2, 1, 6, 0), "minimum suite"),
        (changed(KEYRING, 2, 1, 6, 256), "minimum suite"),
        (changed(KEYRING, 2, 1, 6, True), "minimum suite"),
        (changed(KEYRING, 2, 1, [1, 2]), "generation"),
        (changed(KEYRING, 3, 0, 0, bytes(8)), "job id"),
        (changed(KEYRING, 3, 0, 1, 3), "first generation"),
        (changed(KEYRING, 3, 0, 1, True), "first generation"),
        (changed(KEYRING, 3, 0, 2, None), "signing seed"),
        (changed(KEYRING, 3, 0, 1, 2), "there twice"),
        (changed(KEYRING, 3, SIGNING[::-1]), "out of order"),
        (changed(KEYRING, 3, [[b"\xff" * 16, 1, bytes(32)], *SIGNING]), "out of order"),
        (KEYRING + b"\0", "well-formed"),
        (KEYRING[:-1], "well-formed"),
        (b"", "well-formed"),
        (b"\x80", "array"),
        (b"\x91\xc7\x01\x05x", "well-formed"),
    ],
)
def test_a_keyring_that_is_not_one_is_refused_with_its_field(data, sentence):
    with pytest.raises(IntegrityError, match=sentence):
        decode_keyring(data)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (changed(V["unattended"], 0, 2), "version"),
        (changed(V["unattended"], 3, 0), "generation"),
        (changed(V["unattended"], 5, bytes(32)), "public key"),
        (changed(V["unattended"], 8, bytes(33)), "signing seed"),
        (V["keyring"], "9 elements"),
    ],
)
def test_an_agents_part_that_is_not_one_is_refused(data, sentence):
    with pytest.raises(IntegrityError, match=sentence):
        Unattended.decode(data)


def test_what_a_later_version_added_stays_when_the_keyring_is_written_anew():
    later = msgpack.packb([*msgpack.unpackb(V["keyring"])[:4], {7: b"later", 2: [1]}])
    assert encode_keyring(decode_keyring(later)) == later


def test_the_version_is_judged_before_all_else():
    for data in (msgpack.packb([2, b"other", {}]), msgpack.packb([2] + [b""] * 9)):
        with pytest.raises(IntegrityError, match=r"version \[2\] of the keyring is unknown"):
            decode_keyring(data)


def with_later_generation():
    """One that a later version rotated to: another KEM, and a suite that is not known here."""
    array = msgpack.unpackb(KEYRING)
    array[2].append([9, 7, b"private", b"public", bytes(32), bytes(8), 3])
    array[3] = [[job, begin, seed] for job, begin, seed in array[3]]
    array[4] = {2**40: b"later"}
    return msgpack.packb(array)


def test_a_generation_of_a_later_version_closes_nothing_older_and_is_kept():
    keyring = decode_keyring(with_later_generation())
    assert encode_keyring(keyring) == with_later_generation()
    assert keyring.generation(1) == decode_keyring(KEYRING).generation(1)
    with pytest.raises(LaterVersion, match="KEM 7 of generation 9"):
        keyring.generation(9)
    job_id = keyring.signing[0].job_id
    with pytest.raises(LaterVersion, match="KEM 7"):
        Unattended.of(keyring, job_id)
    assert keyring.signing_seed(job_id, 1)


def test_generations_that_nothing_needs_may_be_left_out():
    """Their signing keys go on for the generations after them."""
    array = msgpack.unpackb(KEYRING)
    assert [row[0] for row in array[2]] == [1, 2]
    del array[2][0]
    keyring = decode_keyring(msgpack.packb(array))
    whole = decode_keyring(KEYRING)
    for key in whole.signing:
        assert keyring.signing_seed(key.job_id, 2) == whole.signing_seed(key.job_id, 2)
