"""What one thread pays per byte on this machine for each step that a new byte goes through."""

from __future__ import annotations

import contextlib
import os
import random
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyfastcdc
from blake3 import blake3

from benchmarks.certificate import make_certificate
from tools.client.envelope import RecordSealer
from tools.client.record_format import chunk_id

PIECE_BYTES = 1 << 20
REPEATS = 100


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    directory.mkdir(parents=True, exist_ok=True)
    content = random.Random(seed).randbytes(PIECE_BYTES)
    key = os.urandom(32)
    id = chunk_id(key, 1, content)
    sealers = {suite: RecordSealer(key, bytes(16), bytes(16), key, suite, 1) for suite in (1, 2)}
    cutter = pyfastcdc.FastCDC(1 << 20, min_size=1 << 19, max_size=1 << 22, seed=5)
    file = directory / "file"
    file.write_bytes(content)
    client, server, wires = _tls(directory)
    steps: dict[str, Callable[[], object]] = {
        "read a cached file": file.read_bytes,
        "cut by content": lambda: list(cutter.cut_buf(content)),
        "keyed BLAKE3 (id, file hash, tag, cid: each)": lambda: blake3(content, key=key).digest(),
        "seal and open again, suite 1": lambda: sealers[1].seal(1, id, content),
        "seal and open again, suite 2": lambda: sealers[2].seal(1, id, content),
        "TLS both ways, encrypt and decrypt": lambda: _through(client, server, wires, content),
    }
    samples = []
    for number in range(rounds):
        for case, step in steps.items():
            step()
            start = time.perf_counter()
            for _ in range(REPEATS):
                step()
            nanoseconds = (time.perf_counter() - start) * 1e9 / REPEATS / PIECE_BYTES
            samples.append({"case": case, "round": number, "nanoseconds_per_byte": round(nanoseconds, 3)})
    return samples


Wires = tuple[ssl.MemoryBIO, ssl.MemoryBIO, ssl.MemoryBIO, ssl.MemoryBIO]


def _tls(directory: Path) -> tuple[ssl.SSLObject, ssl.SSLObject, Wires]:
    key, certificate = make_certificate(directory)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    asking = ssl.create_default_context(cafile=certificate)
    wires = (ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO())
    client = asking.wrap_bio(wires[0], wires[1], server_hostname="localhost")
    server = serving.wrap_bio(wires[2], wires[3], server_side=True)
    for _ in range(4):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
        wires[2].write(wires[1].read())
        wires[0].write(wires[3].read())
    return client, server, wires


def _through(client: ssl.SSLObject, server: ssl.SSLObject, wires: Wires, content: bytes) -> None:
    for start in range(0, len(content), 1 << 18):
        client.write(content[start : start + (1 << 18)])
        wires[2].write(wires[1].read())
        got = 0
        while got < 1 << 18:
            got += len(server.read(1 << 18))
