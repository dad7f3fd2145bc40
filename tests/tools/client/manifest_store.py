"""Keeps what a manifest writer emits, and the ids it would have: a tiny vault for the tests of manifests."""

import msgpack

from tests.tools.client import second_implementation as second
from tools.client.manifest_walk import ManifestWalk

CUT_KEY, ID_KEY, KEYRING = b"c" * 32, b"i" * 32, b"k" * 16


class ManifestStore:
    def __init__(self):
        self.blocks = []  # (level, plaintext, companion body) in order of emission
        self.records = {}
        self.fetches = []

    def emit(self, plaintext, companion_body):
        id = second.chunk_id(ID_KEY, 2, plaintext)
        self.blocks.append((companion_body[0], plaintext, companion_body))
        self.records[id] = plaintext, second.companion_record(companion_body, KEYRING)
        return id

    def fetch(self, references):
        self.fetches.append([reference.block for reference in references])
        return [self.records[reference.block] for reference in references]


def raw_entry(path, extents=(), extras=None, size=0):
    """An entry as the page says it, with chunk ids in place of ordinals."""
    flat = [value for extent in extents for value in extent]
    entry = [path, 1, 0o644, 0, 0, "root", None, 10**18, size, None, flat]
    return [*entry, extras] if extras is not None else entry


def add(writer, entry, content_bytes=0):
    """Hands an entry to a writer, packed by msgpack alone."""
    prefix = b"".join(msgpack.packb(value) for value in entry[:10])
    flat = entry[10]
    extents = [tuple(flat[i : i + 3]) for i in range(0, len(flat), 3)]
    extras = msgpack.packb(entry[11]) if len(entry) == 12 else None
    writer.add(entry[0], prefix, extents[:8192] or None, extras, content_bytes)
    for start in range(8192, len(extents), 8192):
        writer.go_on(entry[0], prefix, extents[start : start + 8192])


def chunk(number):
    return second.b3(b"chunk %d" % number)


def walk(fetch, top, path=b""):
    """Drives a walk to its end with a fetch function; then the first damage is raised."""
    going = ManifestWalk(top, path)
    while wanted := going.wanted():
        going.give(fetch(wanted))
        yield from going.take()
    if going.damage:
        raise going.damage[0]
