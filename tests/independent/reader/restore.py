"""From a stopped vault's directory and a password (or recovery code) to the bytes of a path.

python -m tests.independent.reader.restore DIRECTORY PATH < password > file
"""

from __future__ import annotations

import hmac
import sys
from collections.abc import Iterator
from pathlib import Path

from . import manifest
from .companion import Companion, open_companion
from .damage import Damage, WrongPassword, require
from .hashing import keyed
from .keyring import Generation, Keyring
from .record import DATA, MANIFEST_BLOCK, ROOT_PAYLOAD, RunSecrets, open_record, parse_header
from .root import Payload, Root, parse_payload, verify_signature
from .run_key import open_run_key
from .slot import PASSWORD, open_slot
from .store import Store, open_store


class Opened:
    """A store together with one of its keyrings."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self.store = store
        self.keyring = keyring
        self._secrets: dict[bytes, RunSecrets] = {}

    def secrets(self, key_id: bytes) -> RunSecrets:
        if key_id not in self._secrets:
            sealed = self.store.found.run_keys.get(key_id)
            if sealed is None:
                raise Damage(f"the store has no run key {key_id.hex()}")
            require(sealed.keyring == self.keyring.id, f"run key {key_id.hex()} is of another keyring")
            require(sealed.generation in self.keyring.generations, f"the keyring lacks generation {sealed.generation}")
            generation = self.keyring.generations[sealed.generation]
            run_key = open_run_key(sealed, generation)
            self._secrets[key_id] = RunSecrets(run_key, generation.id_key, generation.minimum_suite)
        return self._secrets[key_id]

    def plaintext(self, record: bytes, kind: int) -> bytes:
        header = parse_header(record)
        require(header.type == kind, f"a record has type {header.type} instead of {kind}")
        require(header.keyring == self.keyring.id, "a record is of another keyring")
        return open_record(record, self.secrets(header.key))

    def chunk(self, chunk_id: bytes) -> bytes:
        return self.plaintext(self.store.record(self.keyring.id, chunk_id), DATA)

    def block(self, block_id: bytes) -> bytes:
        return self.plaintext(self.store.record(self.keyring.id, block_id), MANIFEST_BLOCK)

    def companion(self, companion_id: bytes) -> Companion:
        return open_companion(self.store.record(self.keyring.id, companion_id))

    def safesets(self, job: bytes | None = None) -> list[Root]:
        """Oldest first."""
        roots = [root for root in self.store.found.roots.values() if root.keyring == self.keyring.id]
        roots = [root for root in roots if job is None or root.job == job]
        return sorted(roots, key=lambda root: (root.timeline, root.sequence))

    def payload(self, root: Root) -> Payload:
        verify_signature(root, self.keyring.signing_seed(root.job, root.generation))
        generation = self.keyring.generations[root.generation]
        require(root.suite >= generation.minimum_suite, f"safeset {root.sequence} is below its generation's minimum")
        record = self.store.payload_record(root.payload_hash)
        header = parse_header(record)
        run = self.store.found.run_keys[header.key].run
        require((header.suite, run) == (root.suite, root.run), "a payload is of another run or suite than its root")
        return parse_payload(self.plaintext(record, ROOT_PAYLOAD), root)

    def generation(self, root: Root) -> Generation:
        return self.keyring.generations[root.generation]

    def entries(self, root: Root) -> Iterator[manifest.Entry]:
        top = manifest.Top(root.top_block, root.top_companion, root.level)
        return manifest.walk(top, manifest.Source(self.block, self.companion))

    def file(self, root: Root, path: bytes) -> bytes:
        entries = {entry.path: entry for entry in self.entries(root)}
        require(path in entries, f"the safeset has no {path!r}")
        return self.file_of(root, entries[path])

    def file_of(self, root: Root, entry: manifest.Entry) -> bytes:
        """The bytes of an entry whose hash fits."""
        require(entry.kind == manifest.FILE, f"{entry.path!r} is not a file")
        not_read = entry.extras.get(manifest.FLAGS, 0) & manifest.NOT_READ
        require(not not_read, f"{entry.path!r} could not be read when the safeset was made")
        data = manifest.content(entry, self.chunk)
        whole = manifest.file_bytes(entry, data)
        if entry.hash is not None:
            hashed = keyed(self.generation(root).file_hash_key, data)
            require(hmac.compare_digest(hashed, entry.hash), f"the content of {entry.path!r} has another hash")
        return whole


def open_keyrings(store: Store, secret: str, kind: int = PASSWORD) -> list[Opened]:
    """Every keyring that the password (or recovery code, by `kind`) opens."""
    opened = []
    for slot in store.found.slots.values():
        if slot.kind != kind:
            continue
        try:
            opened.append(Opened(store, open_slot(slot, secret)))
        except WrongPassword:
            continue
    if not opened:
        raise WrongPassword("no slot of the store opens with this password or code")
    return opened


def restore(directory: Path, password: str, path: bytes, disk_paths: list[Path] | None = None) -> bytes:
    """A path of the newest safeset, without its leading slash; the disks are looked for below `directory`."""
    opened = open_keyrings(open_store(directory, disk_paths), password)[0]
    safesets = opened.safesets()
    require(safesets, "the store has no safeset of this keyring")
    opened.payload(safesets[-1])
    return opened.file(safesets[-1], path)


if __name__ == "__main__":
    typed = sys.stdin.readline().rstrip("\n")
    sys.stdout.buffer.write(restore(Path(sys.argv[1]), typed, sys.argv[2].lstrip("/").encode()))
