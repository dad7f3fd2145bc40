import pytest

from tests.tools.client import second_implementation as second
from tests.tools.client.vectors import load
from tools.client.keyring import Unattended, create_keyring, decode_keyring
from tools.client.record_format import IntegrityError
from tools.client.run_key import OpenedRunKey, RunKeys, create_run_key, key_id, open_run_key, parse_sealed_run_key

V = load("run_key")
KEYRING = decode_keyring(V["keyring"])
BOTH = pytest.mark.parametrize("v", V["sealed"], ids=lambda v: f"kem-{v['kem']}")


@BOTH
def test_the_frozen_keys_hold(v):
    assert second.open_run_key(v["private_key"], v["sealed"]) == V["run_key"]
    generation = KEYRING.generation(v["generation"])
    expected = OpenedRunKey(V["run_key"], generation.id_key, generation.minimum_suite, V["run"])
    assert open_run_key(v["sealed"], KEYRING) == expected
    assert key_id(v["sealed"]) == v["key_id"] == second.b3(v["sealed"])[:16]
    header = parse_sealed_run_key(v["sealed"])
    assert (header.kem, header.generation, header.keyring_id, header.job_id, header.run_id) == (
        v["kem"], v["generation"], V["keyring_id"], V["job"], V["run"],
    )  # fmt: skip


@pytest.mark.parametrize("kem", [1, 2])
def test_the_second_implementation_opens_a_new_key(kem):
    keyring = create_keyring(b"j" * 16, kem=kem)
    made = create_run_key(Unattended.of(keyring, b"j" * 16), b"j" * 16, b"r" * 16)
    assert second.open_run_key(keyring.newest.private_key, made.sealed) == made.run_key
    assert open_run_key(made.sealed, keyring).run_key == made.run_key
    assert made.key_id == second.b3(made.sealed)[:16]
    assert len(made.sealed) == 62 + (1120 if kem == 1 else 32) + 48
    assert "run_key=" not in repr(made) + repr(open_run_key(made.sealed, keyring))


@BOTH
def test_no_changed_byte_opens(v):
    sealed = v["sealed"]
    for position in [*range(62), *range(62, len(sealed), 41), len(sealed) - 1]:
        changed = sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :]
        with pytest.raises(IntegrityError):
            open_run_key(changed, KEYRING)
    for cut in (b"", sealed[:61], sealed[:62], sealed[:-1], sealed + b"\0"):
        with pytest.raises(IntegrityError):
            open_run_key(cut, KEYRING)


def test_a_key_of_another_keyring_or_generation_does_not_open():
    other = create_keyring(b"j" * 16)
    made = create_run_key(Unattended.of(other, b"j" * 16), b"j" * 16, b"r" * 16)
    with pytest.raises(IntegrityError, match="belongs to keyring"):
        open_run_key(made.sealed, KEYRING)
    public = second.public_of(1, KEYRING.newest.private_key)
    sealed = second.seal_run_key(1, public, KEYRING.keyring_id, 9, V["job"], V["run"], bytes(32))
    with pytest.raises(IntegrityError, match="generation 9"):
        open_run_key(sealed, KEYRING)


def test_a_run_key_of_another_length_is_refused():
    public = second.public_of(1, KEYRING.newest.private_key)
    sealed = second.seal_run_key(1, public, KEYRING.keyring_id, 2, V["job"], V["run"], bytes(31))
    with pytest.raises(IntegrityError, match="31 bytes"):
        open_run_key(sealed, KEYRING)


def test_run_keys_are_looked_up_by_an_id_that_was_checked():
    run_keys = RunKeys(KEYRING)
    for v in V["sealed"]:
        run_keys.add(v["key_id"], v["sealed"])
        run_keys.add(v["key_id"], v["sealed"])
    assert {id: opened.run_key for id, opened in run_keys.items()} == {v["key_id"]: V["run_key"] for v in V["sealed"]}
    assert [run_keys[v["key_id"]].minimum_suite for v in V["sealed"]] == [v["generation"] for v in V["sealed"]]
    assert len(run_keys) == 2
    with pytest.raises(IntegrityError, match="its id is another"):
        run_keys.add(bytes(16), V["sealed"][0]["sealed"])
    with pytest.raises(KeyError):
        run_keys[bytes(16)]
