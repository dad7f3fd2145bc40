"""What the steps cost that are paid for each message, frame, record, id and path: one thread, no network."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.site import program, run_json
from benchmarks.store_filler import fill, make_record
from protocol import messages as m
from protocol.codec import decode, encode
from protocol.framing import ANSWER_LIMITS, MESSAGE, BytesLike, FrameReader, encode_frame
from protocol.http2 import Http2Connection
from protocol.limits import BULK_WINDOW_BYTES_MAX, WRITE_BYTES
from tools.client.entry_packer import EntryPacker
from tools.client.manifest import Kind
from tools.client.manifest_writer import ManifestWriter
from vaultd.clock import SystemClock
from vaultd.config import load_config
from vaultd.operations import ledger
from vaultd.operations.vault import Vault, close_vault, open_vault
from vaultd.store.disk_door import SystemDoor

MIB = 1 << 20
KEY = bytes(32)
MESSAGES, FRAMES, FRAME_BYTES = 2_000, 64, 2 * MIB
SMALL_RECORDS, SMALL_BYTES, LARGE_RECORDS = 20_000, 2_048, 256
ASKED_IDS = 4_096
PATHS = 20_000
HEADERS = [(":method", "POST"), (":scheme", "https"), (":authority", "vault"), (":path", "/v1/chunk.upload")]


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    vault_directory = directory / "vault"
    run_json([*program("vaultd"), "init", str(vault_directory), "--listen", "127.0.0.1:0", "--json"])
    vault = open_vault(load_config(vault_directory), SystemClock(), SystemDoor())
    try:
        keyring, ids = fill(vault, SMALL_RECORDS, SMALL_BYTES, seed)
        samples = []
        for number in range(rounds):
            samples += one_round(vault, keyring, ids, seed + 1 + number, number)
        return samples
    finally:
        close_vault(vault)


def one_round(vault: Vault, keyring: bytes, ids: list[bytes], seed: int, number: int) -> Iterable[dict[str, Any]]:
    numbers = random.Random(seed)
    known = numbers.choices(ids, k=ASKED_IDS // 2) + [numbers.randbytes(32) for _ in range(ASKED_IDS // 2)]
    large = [make_record(keyring, keyring, numbers.randbytes(MIB)) for _ in range(LARGE_RECORDS)]
    message = m.UploadBatch(bytes(16), 7, [MIB] * 2, bytes(64))
    raw = numbers.randbytes(FRAME_BYTES)

    def microseconds(case: str, step: Callable[[], object], count: int) -> dict[str, Any]:
        return {"case": case, "round": number, "microseconds_each": round(seconds(step) * 1e6 / count, 3)}

    def nanoseconds(case: str, step: Callable[[], object], count_bytes: int) -> dict[str, Any]:
        return {"case": case, "round": number, "nanoseconds_per_byte": round(seconds(step) * 1e9 / count_bytes, 3)}

    yield microseconds("codec: a message, written and read", lambda: code(message), MESSAGES)
    yield nanoseconds("framing: a frame of 2 MiB, written and read", lambda: frame(raw), FRAMES * FRAME_BYTES)
    yield nanoseconds("HTTP/2 without TLS: frames from side to side", lambda: pass_over(raw), FRAMES * FRAME_BYTES)
    yield nanoseconds("container: records of 1 MiB, synced", lambda: append(vault, large), LARGE_RECORDS * MIB)
    few = SMALL_RECORDS, SMALL_BYTES
    yield microseconds("container and index: a record of 2 KiB, synced", lambda: fill(vault, *few, seed), few[0])
    yield microseconds("index: an id asked for, half are there", lambda: ask(vault, keyring, known), ASKED_IDS * 10)
    yield microseconds("manifest: a path", write_manifest, PATHS)


def seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def code(message: m.UploadBatch) -> None:
    for _ in range(MESSAGES):
        decode(encode(message), m.UploadBatch)


def frame(raw: bytes) -> None:
    """In pieces as large as a read of a busy connection."""
    view = memoryview(b"".join(encode_frame(MESSAGE, bytes(200), raw)))
    for _ in range(FRAMES):
        reader = FrameReader(ANSWER_LIMITS)
        for start in range(0, len(view), MIB // 4):
            reader.feed(view[start : start + MIB // 4])
        assert reader.next_frame() is not None


def pass_over(raw: bytes) -> None:
    client, server = (Http2Connection(client, time.monotonic) for client in (True, False))
    client.widen()
    server.widen()
    stream_id = client.open_stream(HEADERS)
    exchange(client, server)
    server.set_window(stream_id, BULK_WINDOW_BYTES_MAX)
    exchange(client, server)
    for _ in range(FRAMES):
        client.send_data(stream_id, [raw])
        while client.unsent(stream_id):
            exchange(client, server)
        server.grant(stream_id, len(raw))
    assert not client.unsent(stream_id)


def exchange(client: Http2Connection, server: Http2Connection) -> None:
    server.receive_data(joined(client.data_to_send(WRITE_BYTES)))
    client.receive_data(joined(server.data_to_send(WRITE_BYTES)))


def joined(pieces: Iterable[BytesLike]) -> bytes:
    return b"".join(pieces)


def append(vault: Vault, records: list[Any]) -> None:
    for start in range(0, len(records), 64):
        vault.store.append(0, records[start : start + 64])
        ledger.write(vault)


def ask(vault: Vault, keyring: bytes, ids: list[bytes]) -> None:
    for _ in range(10):
        assert sum(vault.store.missing(keyring, ids)) == ASKED_IDS // 2


def write_manifest() -> None:
    packer = EntryPacker()
    access = packer.access(Kind.FILE, 0o644, 0, 0, "root", "root")
    writer = ManifestWriter(KEY, lambda plaintext, companion: KEY)
    for number in range(PATHS):
        path = b"home/somebody/documents/%08d.txt" % number
        chunk = (number // 100).to_bytes(32, "big")
        writer.add(path, packer.prefix(path, access, 10**18 + number, 5_000, KEY), [(chunk, number % 100, 5_000)])
    writer.finish()
