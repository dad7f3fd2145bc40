"""The formats once more, from the words of docs/format.md alone: the tests compare the program with this.

Only primitives are used (AES, Argon2id, Ed25519, ML-KEM, X25519, BLAKE3, msgpack). Nothing is checked that a reader
would check; random values are arguments.
"""

import hashlib
import hmac
import struct
import unicodedata

import msgpack
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def b3(data, key=None, length=32):
    return (blake3(data, key=key) if key else blake3(data)).digest(length=length)


def cbc(key, iv, plaintext):
    pad = 16 - len(plaintext) % 16
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(plaintext + bytes([pad]) * pad) + encryptor.finalize()


def cbc_open(key, iv, ciphertext):
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    return padded[: -padded[-1]]


# Record


def chunk_id(id_key, type, plaintext):
    return b3(bytes([type]) + plaintext, id_key)


def record_keys(run_key, suite, type, id):
    both = b3(b"safeset record keys v1" + bytes([suite]) + bytes([type]) + id, run_key, 64)
    return both[:32], both[32:]


def record_header(magic, suite, type, keyring, key, id, body_length):
    head = magic + bytes([1, suite, type, 0]) + keyring + key + id + struct.pack("<I", body_length)
    return head + b3(head)[:8]


def seal_record(run_key, suite, type, keyring, key, id, inner, iv):
    """A record around an inner plaintext, which may be nonsense."""
    cipher_key, tag_key = record_keys(run_key, suite, type, id)
    if suite == 1:
        ciphertext = cbc(cipher_key, iv, inner)
        header = record_header(b"SSR1", suite, type, keyring, key, id, 16 + len(ciphertext) + 32)
        lengths = struct.pack("<QQ", len(header), len(ciphertext))
        return header + iv + ciphertext + b3(header + iv + ciphertext + lengths, tag_key)
    header = record_header(b"SSR1", suite, type, keyring, key, id, 12 + len(inner) + 16)
    return header + iv + AESGCM(cipher_key).encrypt(iv, inner, header)


def inner(plain_length, codec, data, padding=0):
    return struct.pack("<I", plain_length) + bytes([codec]) + struct.pack("<I", padding) + data + bytes(padding)


def open_record(run_key, record):
    """The inner plaintext."""
    suite, type, id, body = record[5], record[6], record[40:72], record[84:]
    cipher_key, tag_key = record_keys(run_key, suite, type, id)
    if suite == 2:
        return AESGCM(cipher_key).decrypt(body[:12], body[12:], record[:84])
    iv, ciphertext, tag = body[:16], body[16:-32], body[-32:]
    assert b3(record[:-32] + struct.pack("<QQ", 84, len(ciphertext)), tag_key) == tag
    return cbc_open(cipher_key, iv, ciphertext)


# Companion


def companion_body(level, ids, children):
    return (
        bytes([level])
        + struct.pack("<I", len(ids)) + b"".join(ids)
        + struct.pack("<I", len(children)) + b"".join(children)
    )  # fmt: skip


def companion_record(body, keyring):
    return record_header(b"SSC1", 0, 3, keyring, bytes(16), b3(body), len(body)) + body


# Slot


def slot_keys(kind, secret, salt, memory=0, passes=0, lanes=0):
    """Opening key and proof."""
    if kind == 1:
        password = unicodedata.normalize("NFC", secret).encode("utf-8")
        both = Argon2id(salt=salt, length=64, iterations=passes, lanes=lanes, memory_cost=memory).derive(password)
    else:
        both = blake3(secret + salt, derive_key_context="safeset 2026-11 recovery code v1").digest(length=64)
    return both[:32], both[32:]


def seal_slot(opening_key, head, plaintext, iv):
    """`head` is the bytes 0..72."""
    keys = b3(b"safeset slot keys v1", opening_key, 96)
    ciphertext = cbc(keys[:32], iv, plaintext)
    head = head + b3(head, keys[64:]) + struct.pack("<I", 16 + len(ciphertext) + 32)
    tag = b3(head + iv + ciphertext + struct.pack("<QQ", 108, len(ciphertext)), keys[32:64])
    slot = head + iv + ciphertext + tag
    return slot + b3(slot)


def slot_head(kind, slot_id, keyring, generation, costs, salt):
    return b"SSK1" + bytes([1, kind, 1, 0]) + slot_id + keyring + struct.pack("<IIII", generation, *costs) + salt


def recovery_text(code):
    bits = "".join(f"{byte:08b}" for byte in code)
    characters = "".join(ALPHABET[int(bits[i : i + 5], 2)] for i in range(0, 160, 5))
    groups = []
    for number in range(8):
        group = characters[4 * number : 4 * number + 4]
        groups.append(group + ALPHABET[b3(bytes([number]) + group.encode("ascii"))[0] & 31])
    return "-".join(groups)


# HPKE, base mode, HKDF-SHA256, AES-256-GCM (RFC 9180), with KEM 0x647a (ML-KEM-768 and X25519) or 0x0020 (X25519)


def _extract(suite_id, salt, label, material):
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite_id + label + material, "sha256")


def _expand(suite_id, secret, label, info, length):
    info = struct.pack(">H", length) + b"HPKE-v1" + suite_id + label + info
    block = output = b""
    while len(output) < length:
        block = hmac.digest(secret, block + info + bytes([len(output) // 32 + 1]), "sha256")
        output += block
    return output[:length]


def _aead(kem_id, shared, info):
    suite_id = b"HPKE" + struct.pack(">HHH", kem_id, 1, 2)
    context = b"\0" + _extract(suite_id, b"", b"psk_id_hash", b"") + _extract(suite_id, b"", b"info_hash", info)
    secret = _extract(suite_id, shared, b"secret", b"")
    return (
        AESGCM(_expand(suite_id, secret, b"key", context, 32)),
        _expand(suite_id, secret, b"base_nonce", context, 12),
    )


def _join_hybrid(mlkem_shared, x25519_shared, ephemeral, x25519_public):
    return hashlib.sha3_256(mlkem_shared + x25519_shared + ephemeral + x25519_public + b"\\.//^\\").digest()


def _join_x25519(dh, ephemeral, public):
    suite_id = b"KEM" + struct.pack(">H", 0x20)
    return _expand(suite_id, _extract(suite_id, b"", b"eae_prk", dh), b"shared_secret", ephemeral + public, 32)


def hpke_seal(kem, public, plaintext, info):
    ephemeral = X25519PrivateKey.generate()
    sent = ephemeral.public_key().public_bytes_raw()
    dh = ephemeral.exchange(X25519PublicKey.from_public_bytes(public[-32:]))
    if kem == 2:
        aead, nonce = _aead(0x20, _join_x25519(dh, sent, public), info)
        return sent + aead.encrypt(nonce, plaintext, b"")
    mlkem_shared, encapsulated = MLKEM768PublicKey.from_public_bytes(public[:-32]).encapsulate()
    aead, nonce = _aead(0x647A, _join_hybrid(mlkem_shared, dh, sent, public[-32:]), info)
    return encapsulated + sent + aead.encrypt(nonce, plaintext, b"")


def hpke_open(kem, private, sealed, info):
    x25519 = X25519PrivateKey.from_private_bytes(private[-32:])
    public = x25519.public_key().public_bytes_raw()
    start = 0 if kem == 2 else 1088
    sent, ciphertext = sealed[start : start + 32], sealed[start + 32 :]
    dh = x25519.exchange(X25519PublicKey.from_public_bytes(sent))
    if kem == 2:
        aead, nonce = _aead(0x20, _join_x25519(dh, sent, public), info)
    else:
        mlkem_shared = MLKEM768PrivateKey.from_seed_bytes(private[:64]).decapsulate(sealed[:1088])
        aead, nonce = _aead(0x647A, _join_hybrid(mlkem_shared, dh, sent, public), info)
    return aead.decrypt(nonce, ciphertext, b"")


def public_of(kem, private):
    x25519 = X25519PrivateKey.from_private_bytes(private[-32:]).public_key().public_bytes_raw()
    if kem == 2:
        return x25519
    return MLKEM768PrivateKey.from_seed_bytes(private[:64]).public_key().public_bytes_raw() + x25519


def seal_run_key(kem, public, keyring, generation, job, run, run_key):
    head = b"SSY1" + bytes([1, kem, 0, 0]) + keyring + struct.pack("<I", generation) + job + run
    sealed = hpke_seal(kem, public, run_key, b"safeset run key v1" + head)
    return head + struct.pack("<H", len(sealed)) + sealed


def open_run_key(private, sealed):
    return hpke_open(sealed[5], private, sealed[62:], b"safeset run key v1" + sealed[:60])


def fingerprint(spki, sealing_public):
    return b3(b"safeset agent key v1" + struct.pack("<I", len(spki)) + spki + sealing_public)[:20]


def creator_fingerprint(seed):
    return b3(b"safeset creator key v1" + ed25519_public(seed))[:20]


def ed25519_public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def seal_job_secret(public, account, computer, job, message, agent_key, creator_seed, plaintext, purpose=1):
    head = b"SSM1" + bytes([1, 1, purpose, 0]) + account + computer + job + message + agent_key
    sealed = hpke_seal(1, public, plaintext, b"safeset job secret v1" + head)
    signed = head + struct.pack("<I", len(sealed)) + sealed
    signature = Ed25519PrivateKey.from_private_bytes(creator_seed).sign(b"safeset job secret signature v1" + signed)
    return signed + ed25519_public(creator_seed) + signature


def open_job_secret(private, message):
    return hpke_open(1, private, message[96:-96], b"safeset job secret v1" + message[:92])


def new_keys_plaintext(keyring, newest, earlier):
    """`newest` is [minimum suite, generation, KEM, public key, id key, chunker seed, signing seed]; each of `earlier`
    [generation, public key, id key, chunker seed, signing seed].
    """
    rows = []
    for generation, public, id_key, chunker_seed, signing_seed in earlier:
        values = public + id_key + chunker_seed + signing_seed
        mark = b3(b"safeset known generation v1" + keyring + struct.pack("<I", generation) + values)
        rows.append([generation, mark, ed25519_public(signing_seed)])
    return msgpack.packb([msgpack.packb([1, keyring, *newest]), rows])


def restore_order_plaintext(computer, job, safeset, paths, target, overwrite, created, expires, password):
    return msgpack.packb([1, computer, job, safeset, paths, target, overwrite, created, expires, password])


# Root


def sign_root(seed, fields):
    """`fields` in the order of the page's table, from suite to warnings; complete is 0 or 1."""
    f = fields
    signed = (
        b"SST1" + bytes([1, f["suite"], f["complete"], 0]) + f["keyring"] + struct.pack("<I", f["generation"])
        + f["job"] + f["computer"] + f["run"] + struct.pack("<IQ", f["timeline"], f["sequence"]) + f["previous"]
        + struct.pack("<q", f["agent_time"]) + f["payload_hash"] + f["top_block"] + f["top_companion"]
        + bytes([f["level"]]) + bytes(7)
        + b"".join(struct.pack("<Q", f[name]) for name in (
            "files", "directories", "others", "protected_bytes", "new_chunks", "new_bytes", "reused_bytes", "warnings",
        ))
    )  # fmt: skip
    assert len(signed) == 296
    return signed + Ed25519PrivateKey.from_private_bytes(seed).sign(b"safeset root v1" + signed)


def payload(fields):
    """`fields` has an attribute for each element after the version."""
    f = fields
    names = [f.host_name, f.job_name, f.computer_name]
    warnings = [[path, code] for path, code in f.warnings]
    return msgpack.packb([
        1, f.top_block, f.top_companion, f.level, *names, [*f.includes], [*f.excludes], f.agent_version, f.begin_ns,
        f.end_ns, warnings, f.system, {},
    ])  # fmt: skip


def countersign(seed, root, vault, time):
    message = b"safeset countersignature v1" + b3(root) + vault + struct.pack("<q", time)
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


# Manifest


def manifest(cut_key, id_key, entries):
    """All blocks of a manifest, bottom up: list of (level, plaintext, companion body). Not streaming, not quick.

    `entries`: (eleven or twelve elements with chunk ids in place of ordinals, bytes below).
    """
    leaves, current = [], []
    for entry, below in entries:
        if current and not _leaf_fits([*current, (entry, below)]):
            leaves.append(current)
            current = []
        current.append((entry, below))
        size, _ = _leaf_entries(current)
        if size >= 32 * 1024 and _u64(b3(entry[0], cut_key)) < 2**64 // 1024:
            leaves.append(current)
            current = []
    if current or not leaves:
        leaves.append(current)
    blocks, rows = [], []
    for leaf in leaves:
        _, (chunks, packed) = _leaf_entries(leaf)
        body = companion_body(0, chunks, [])
        plaintext = msgpack.packb([1, 0, b3(body), b"".join(chunks), packed])
        blocks.append((0, plaintext, body))
        ends = (leaf[0][0][0], leaf[-1][0][0]) if leaf else (b"", b"")
        id = chunk_id(id_key, 2, plaintext)
        rows.append([*ends, id, b3(body), len(leaf), sum(below for _, below in leaf)])
    return blocks + _inner_blocks(id_key, rows, 1)


def _inner_blocks(id_key, rows, level):
    if len(rows) == 1:
        return []
    groups, current = [], []
    for row in rows:
        if current and sum(len(msgpack.packb(r)) for r in [*current, row]) > 2048 * 1024:
            groups.append(current)
            current = []
        current.append(row)
        if len(current) == 4096 or (len(current) >= 128 and _u64(row[2]) < 2**64 // 512):
            groups.append(current)
            current = []
    if current:
        groups.append(current)
    blocks, above = [], []
    for group in groups:
        body = companion_body(level, sorted({row[2] for row in group}), [row[3] for row in group])
        plaintext = msgpack.packb([1, level, b3(body), group])
        blocks.append((level, plaintext, body))
        id = chunk_id(id_key, 2, plaintext)
        above.append([group[0][0], group[-1][1], id, b3(body), sum(r[4] for r in group), sum(r[5] for r in group)])
    return blocks + _inner_blocks(id_key, above, level + 1)


def _leaf_entries(leaf):
    """Bytes of the entries, and chunks and entries with ordinals."""
    chunks = sorted({chunk for entry, _ in leaf for chunk in entry[10][::3]})
    ordinal = {chunk: number for number, chunk in enumerate(chunks)}
    packed = []
    for entry, _ in leaf:
        extents = [ordinal[value] if i % 3 == 0 else value for i, value in enumerate(entry[10])]
        packed.append([*entry[:10], extents, *entry[11:]])
    return sum(len(msgpack.packb(entry)) for entry in packed), (chunks, packed)


def _leaf_fits(leaf):
    size, (chunks, _) = _leaf_entries(leaf)
    return size <= 512 * 1024 and len(chunks) <= 8192


def _u64(hash):
    return struct.unpack("<Q", hash[:8])[0]


# Cutting content

GEAR = [int.from_bytes(hashlib.md5(bytes([i]) * 64).digest()[:8], "big") for i in range(256)]
_U64 = 2**64 - 1


def cut_points(content, seed):
    """Lengths of the chunks of a whole file; `seed` is the u64."""
    gear = [value ^ seed for value in GEAR]
    gear2 = [(value << 1 & _U64) ^ (seed << 1 & _U64) for value in GEAR]
    lengths, position = [], 0
    while position < len(content):
        length = _cut(content[position : position + 4194304], gear, gear2)
        lengths.append(length)
        position += length
    return lengths


def _cut(b, gear, gear2):
    n = len(b)
    if n <= 524288:
        return n
    centre = min(1048576, n)
    h, i = 0, 524288 // 2
    for mask, end in ((0x0000D91767537000, centre // 2), (0x0000D91707537000, n // 2)):
        while i < end:
            a = 2 * i
            h = ((h << 2) + gear2[b[a]]) & _U64
            if h & (mask << 1) == 0:
                return a
            h = (h + gear[b[a + 1]]) & _U64
            if h & mask == 0:
                return a + 1
            i += 1
    return n
