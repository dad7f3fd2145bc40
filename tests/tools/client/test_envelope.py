import random
import subprocess
import threading

import pytest
import zstandard

from tests.tools.client import second_implementation as second
from tests.tools.client.vectors import load
from tools.client import envelope
from tools.client.envelope import RecordOpener, RecordSealer
from tools.client.record_format import IntegrityError, LaterVersion, RecordType, Suite
from tools.client.run_key import OpenedRunKey

VECTORS = load("record")
RUN_KEY, ID_KEY, KEYRING, KEY = (VECTORS[name] for name in ("run_key", "id_key", "keyring", "key"))
NOISE = random.Random(2).randbytes(1 << 20)
TEXT = b"the same line again and again\n" * 9_000
SUITES = list(Suite)


def sealer(suite, level=3):
    return RecordSealer(RUN_KEY, KEYRING, KEY, ID_KEY, suite, level)


def opener(minimum_suite=1, run_keys=None):
    known = {KEY: OpenedRunKey(RUN_KEY, ID_KEY, minimum_suite, bytes(16))}
    return RecordOpener(known if run_keys is None else run_keys)


# Bytes of the header (version, suite, type, flags) whose lowest bit makes a value that is not known.
OF_A_LATER_VERSION = {1: (4, 6, 7), 2: (4, 5, 6, 7)}


def assert_does_not_open(record, id, type=RecordType.DATA, by=None, *, is_later=False):
    with pytest.raises(IntegrityError) as caught:
        (by or opener()).open(record, id, type)
    if is_later:
        assert caught.type is LaterVersion
        assert "is unknown to this program" in str(caught.value)
    else:
        assert str(caught.value) == f"record {id.hex()} did not open: its bytes are damaged or were altered"


@pytest.mark.parametrize("v", VECTORS["records"], ids=lambda v: f"{v['suite']}-{v['codec']}-{v['type']}")
def test_the_frozen_records_hold(v):
    assert second.chunk_id(ID_KEY, v["type"], v["plaintext"]) == v["id"]
    assert second.record_keys(RUN_KEY, v["suite"], v["type"], v["id"]) == (v["cipher_key"], v["tag_key"])
    sealed = second.seal_record(RUN_KEY, v["suite"], v["type"], KEYRING, KEY, v["id"], v["inner"], v["iv"])
    assert sealed == v["record"]
    assert second.b3(sealed) == v["cid"]
    assert opener().open(v["record"], v["id"], v["type"]) == v["plaintext"]


@pytest.mark.parametrize("v", [v for v in VECTORS["records"] if v["suite"] == 1], ids=lambda v: v["id"].hex()[:8])
def test_openssl_decrypts_the_frozen_records(v):
    assert openssl(v["cipher_key"], v["iv"], v["record"][100:-32]) == v["inner"]


def openssl(key, iv, ciphertext):
    """The inner plaintext; the padding is taken off by hand."""
    command = ["openssl", "enc", "-d", "-aes-256-cbc", "-K", key.hex(), "-iv", iv.hex(), "-nopad"]
    padded = subprocess.run(command, input=ciphertext, capture_output=True, check=True).stdout
    assert padded.endswith(bytes([padded[-1]]) * padded[-1])
    return padded[: -padded[-1]]


def test_openssl_decrypts_what_is_sealed():
    id = second.chunk_id(ID_KEY, 1, NOISE)
    record = bytes(sealer(1).seal(1, id, NOISE).record)
    cipher_key, _ = second.record_keys(RUN_KEY, 1, 1, id)
    assert openssl(cipher_key, record[84:100], record[100:-32]) == second.inner(len(NOISE), 0, NOISE)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("type", [1, 2, 4])
@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 22, 23, 24, 100, 4096, 262_144])
def test_what_is_sealed_is_what_the_second_implementation_opens(suite, type, size):
    plaintext = NOISE[:size]
    id = second.chunk_id(ID_KEY, type, plaintext)
    sealed = sealer(suite).seal(type, id, plaintext)
    record = bytes(sealed.record)
    assert record[:84] == second.record_header(b"SSR1", suite, type, KEYRING, KEY, id, len(record) - 84)
    assert second.open_record(RUN_KEY, record) == second.inner(size, 0, plaintext)
    assert sealed.cid == second.b3(record)
    assert sealed.record.readonly
    assert opener().open(sealed.record, id, type) == plaintext


@pytest.mark.parametrize("suite", SUITES)
def test_content_that_shrinks_is_sealed_as_one_frame(suite):
    id = second.chunk_id(ID_KEY, 1, TEXT)
    sealed = sealer(suite).seal(1, id, memoryview(bytearray(TEXT)))
    inner = second.open_record(RUN_KEY, bytes(sealed.record))
    assert inner[:9] == second.inner(len(TEXT), 1, b"")
    assert zstandard.ZstdDecompressor().decompress(inner[9:]) == TEXT
    assert opener().open(bytes(sealed.record), id, 1) == TEXT


@pytest.mark.parametrize("suite", SUITES)
def test_the_iv_is_new_at_every_seal(suite):
    id = second.chunk_id(ID_KEY, 1, b"content")
    ivs = {bytes(sealer(suite).seal(1, id, b"content").record[84:96]) for _ in range(20)}
    assert len(ivs) == 20


@pytest.mark.parametrize("suite", SUITES)
def test_a_chunk_of_the_largest_size_fits(suite):
    plaintext = NOISE * 4
    id = second.chunk_id(ID_KEY, 1, plaintext)
    assert opener().open(sealer(suite).seal(1, id, plaintext).record, id, 1) == plaintext


@pytest.mark.parametrize(("type", "limit"), [(1, 4_194_304), (2, 4_194_304), (4, 262_144)])
def test_a_chunk_above_the_limit_of_its_type_is_not_sealed(type, limit):
    with pytest.raises(ValueError, match=str(limit)):
        sealer(1).seal(type, bytes(32), bytes(limit + 1))


def test_a_wrong_id_is_found_before_the_record_is_handed_out():
    with pytest.raises(IntegrityError, match="was not sealed"):
        sealer(1).seal(1, second.chunk_id(ID_KEY, 1, b"other"), b"content")


def test_a_fault_between_sealing_and_opening_is_found(monkeypatch):
    honest = envelope._encrypt_cbc

    def faulty(keys, record, inner_header, data):
        honest(keys, record, inner_header, data)
        record[200] ^= 1

    monkeypatch.setattr(envelope, "_encrypt_cbc", faulty)
    with pytest.raises(IntegrityError, match="was not sealed"):
        sealer(1).seal(1, second.chunk_id(ID_KEY, 1, NOISE), NOISE)


# Tampering


@pytest.mark.parametrize("suite", SUITES)
def test_no_changed_byte_of_a_record_opens(suite):
    id = second.chunk_id(ID_KEY, 1, b"some content of a small file")
    record = bytes(sealer(suite).seal(1, id, b"some content of a small file").record)
    for position in range(len(record)):
        changed = bytearray(record)
        changed[position] ^= 0x01
        assert_does_not_open(changed, id)
        if position < 76:  # and with a header checksum that fits again
            changed[76:84] = second.b3(bytes(changed[:76]))[:8]
            assert_does_not_open(changed, id, is_later=position in OF_A_LATER_VERSION[suite])


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("cut", [0, 1, 83, 84, 96, 100, 116, 131, 132, 147, 148, -33, -17, -16, -1])
def test_no_shortened_record_opens(suite, cut):
    id = second.chunk_id(ID_KEY, 1, NOISE[:100])
    record = bytes(sealer(suite).seal(1, id, NOISE[:100]).record)[:cut]
    assert_does_not_open(record, id)
    if len(record) > 84:  # and with a header that says the new length
        header = second.record_header(b"SSR1", suite, 1, KEYRING, KEY, id, len(record) - 84)
        assert_does_not_open(header + record[84:], id)


def test_a_record_with_bytes_behind_it_does_not_open():
    v = VECTORS["records"][0]
    assert_does_not_open(v["record"] + b"\0", v["id"])


@pytest.mark.parametrize("suite", SUITES)
def test_another_record_than_the_one_asked_for_does_not_open(suite):
    id, other = (second.chunk_id(ID_KEY, 1, content) for content in (b"one", b"other"))
    record = sealer(suite).seal(1, id, b"one").record
    assert_does_not_open(record, other)
    assert_does_not_open(record, id, RecordType.MANIFEST)
    assert_does_not_open(record, id, by=opener(run_keys={KEY: OpenedRunKey(bytes(32), ID_KEY, 1, bytes(16))}))
    assert_does_not_open(record, id, by=opener(run_keys={}))


@pytest.mark.parametrize("suite", SUITES)
def test_the_id_is_computed_anew(suite):
    """Whoever holds a run key could seal other content under an id; it must not come out of a restore."""
    id = second.chunk_id(ID_KEY, 1, b"honest")
    inner, iv = second.inner(5, 0, b"false"), bytes(16 if suite == 1 else 12)
    assert_does_not_open(second.seal_record(RUN_KEY, suite, 1, KEYRING, KEY, id, inner, iv), id)


def test_a_suite_below_the_minimum_does_not_open():
    id = second.chunk_id(ID_KEY, 1, b"content")
    assert_does_not_open(sealer(1).seal(1, id, b"content").record, id, by=opener(minimum_suite=2))
    assert opener(minimum_suite=2).open(sealer(2).seal(1, id, b"content").record, id, 1) == b"content"


@pytest.mark.parametrize("suite", [0, 3, 255])
def test_an_unknown_suite_does_not_open(suite):
    id = second.chunk_id(ID_KEY, 1, b"content")
    record = second.seal_record(RUN_KEY, 2, 1, KEYRING, KEY, id, second.inner(7, 0, b"content"), bytes(12))
    body = record[84:]
    header = second.record_header(b"SSR1", suite, 1, KEYRING, KEY, id, len(body))
    assert_does_not_open(header + body, id, is_later=suite != 0)


def test_a_companion_never_opens_as_a_sealed_record():
    body = second.companion_body(0, [], [])
    assert_does_not_open(second.companion_record(body, KEYRING), second.b3(body), RecordType.COMPANION)
    header = second.record_header(b"SSC1", 1, 1, KEYRING, KEY, bytes(32), 100)
    assert_does_not_open(header + bytes(100), bytes(32))


CONTENT = b"four"
ZSTD = zstandard.ZstdCompressor()


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize(
    "inner",
    [
        b"",
        second.inner(4, 0, CONTENT)[:8],
        second.inner(3, 0, CONTENT),
        second.inner(5, 0, CONTENT),
        second.inner(4, 0, CONTENT)[:5] + b"\x05\0\0\0" + CONTENT,
        second.inner(4, 0, CONTENT)[:5] + b"\xff\xff\xff\xff" + CONTENT,
        second.inner(4, 0, CONTENT)[:5] + b"\x02\0\0\0" + CONTENT + b"\0\1",
        second.inner(4_194_305, 0, bytes(4_194_305)),
        second.inner(4_194_305, 1, ZSTD.compress(bytes(4_194_305))),
        second.inner(1000, 1, ZSTD.compress(bytes(50_000_000))),
        second.inner(4, 1, ZSTD.compress(CONTENT) + b"x"),
        second.inner(4, 1, b"no frame"),
        second.inner(0, 1, ZSTD.compress(b"")),
    ],
    ids=[
        "empty", "short", "less", "more", "padding-over", "padding-huge", "padding-not-zero", "too-large",
        "bomb-honest", "bomb", "trailing", "noise", "empty-frame",
    ],
)  # fmt: skip
def test_an_inner_plaintext_that_is_nonsense_does_not_open(suite, inner):
    """Sealed with the right keys, so only the checks behind the tag refuse it."""
    id = second.chunk_id(ID_KEY, 1, CONTENT)
    iv = bytes(16 if suite == 1 else 12)
    assert_does_not_open(second.seal_record(RUN_KEY, suite, 1, KEYRING, KEY, id, inner, iv), id)


@pytest.mark.parametrize("suite", SUITES)
def test_a_codec_of_a_later_version_is_named_and_no_damage(suite):
    id = second.chunk_id(ID_KEY, 1, CONTENT)
    iv = bytes(16 if suite == 1 else 12)
    record = second.seal_record(RUN_KEY, suite, 1, KEYRING, KEY, id, second.inner(4, 2, CONTENT), iv)
    assert_does_not_open(record, id, is_later=True)


@pytest.mark.parametrize("padding", [1, 15, 16, 1000])
def test_padding_of_zeros_is_taken_off(padding):
    id = second.chunk_id(ID_KEY, 1, CONTENT)
    for suite, iv in ((1, bytes(16)), (2, bytes(12))):
        record = second.seal_record(RUN_KEY, suite, 1, KEYRING, KEY, id, second.inner(4, 0, CONTENT, padding), iv)
        assert opener().open(record, id, 1) == CONTENT


@pytest.mark.parametrize("tail", [b"\0", b"\x11", b"\x02\x03"])
def test_bad_padding_of_the_cipher_behind_a_good_tag_is_the_same_error(tail, monkeypatch):
    id = second.chunk_id(ID_KEY, 1, CONTENT)
    padded = second.inner(4, 0, CONTENT)
    padded = padded + bytes(16 - len(padded) - len(tail)) + tail

    def cbc_without_padding(key, iv, plaintext):
        encryptor = second.Cipher(second.algorithms.AES(key), second.modes.CBC(iv)).encryptor()
        return encryptor.update(plaintext)

    monkeypatch.setattr(second, "cbc", cbc_without_padding)
    assert_does_not_open(second.seal_record(RUN_KEY, 1, 1, KEYRING, KEY, id, padded, bytes(16)), id)


def test_an_opened_chunk_stays_while_the_thread_opens_others():
    ids = [second.chunk_id(ID_KEY, 1, NOISE[i : i + 1000]) for i in range(5)]
    records = [sealer(1).seal(1, id, NOISE[i : i + 1000]).record for i, id in enumerate(ids)]
    opened = [opener().open(record, id, 1) for record, id in zip(records, ids, strict=True)]
    assert opened == [NOISE[i : i + 1000] for i in range(5)]


def test_threads_share_a_sealer_and_an_opener():
    shared, reader, failed = sealer(1), opener(), []

    def work(first):
        for i in range(first, first + 40):
            content = (NOISE if i % 2 else TEXT)[: 70_000 + i]
            id = second.chunk_id(ID_KEY, 1, content)
            if reader.open(shared.seal(1, id, content).record, id, 1) != content:
                failed.append(i)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 1000, 2000, 3000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
