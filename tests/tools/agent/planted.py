"""Safesets that no agent makes, under a job's real keys: by a vault that lies, or by a member who holds the keyring.

Entries are raw msgpack arrays; everything is sealed with the keys that the first backup of the job left in the state.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgpack

from tests.tools.agent.conftest import COMPUTER_ID, JOB_ID, Site
from tests.tools.client import second_implementation as second
from tests.tools.client.manifest_store import add
from tools.agent.upload.outgoing import make_record_maker
from tools.client.keyring import Unattended
from tools.client.manifest_writer import ManifestWriter
from tools.client.record_format import RecordType
from tools.client.root import Figures, Payload, Root, encode_payload, sign_root
from tools.client.run_key import create_run_key


def entry(path: bytes, content_hash: bytes | None = None, size: int = 0, **more: Any) -> list[Any]:
    """A file; `extents` as the page has them, `kind`, `extras`."""
    raw = [path, more.get("kind", 1), more.get("mode", 0o644), 0, 0, None, None, 1, size, content_hash]
    raw.append(more.get("extents", []))
    return [*raw, more["extras"]] if "extras" in more else raw


@dataclass
class Planter:
    """Puts a safeset of these entries into the fake vault, as its newest."""

    site: Site

    def __post_init__(self) -> None:
        saved = self.site.state.job(JOB_ID).load_unattended()
        assert saved is not None, "back up once first"
        self.keys = Unattended.decode(saved)
        self.run_id = os.urandom(16)
        run_key = create_run_key(self.keys, JOB_ID, self.run_id)
        self.site.vault.run_keys[run_key.key_id] = run_key.sealed
        self.maker = make_record_maker(self.keys, run_key, 1, 1)
        self.leaves: list[tuple[bytes, bytes]] = []
        self.top_companion = b""
        self.change_root: Callable[[Root], Root] = lambda root: root

    def content_hash(self, content: bytes) -> bytes:
        return second.b3(content, key=second.b3(b"safeset file hash v1", key=self.keys.id_key))

    def chunk(self, content: bytes) -> bytes:
        return self._seal(RecordType.DATA, content)

    def plant(self, leaves: Sequence[list[Any]], chunks: Sequence[bytes] = ()) -> None:
        """One leaf for each list of entries, and an inner block above when there are several."""
        listed = [self._leaf(entries, sorted(chunks)) for entries in leaves]
        self.leaves = [(row[2], row[3]) for row in listed]
        if len(listed) == 1:
            _, _, block, companion, _, _ = listed[0]
            self._commit(block, companion, 0)
            return
        body = second.companion_body(1, sorted(row[2] for row in listed), [row[3] for row in listed])
        block = self._block([1, 1, second.b3(body), listed], body)
        self._commit(block, second.b3(body), 1)

    def plant_cut(self, entries: Iterable[list[Any]]) -> None:
        """Blocks as the writer of manifests cuts them; extents name their chunks by id."""

        writer = ManifestWriter(os.urandom(32), self._store_block)
        for entry in entries:
            add(writer, entry)
        written = writer.finish()
        self._commit(written.top_block, written.top_companion, written.level)

    def _leaf(self, entries: list[Any], chunks: list[bytes]) -> list[Any]:
        body = second.companion_body(0, chunks, [])
        block = self._block([1, 0, second.b3(body), b"".join(chunks), entries], body)
        return [entries[0][0], entries[-1][0], block, second.b3(body), len(entries), 0]

    def _block(self, value: list[Any], companion_body: bytes) -> bytes:
        return self._store_block(msgpack.packb(value), companion_body)

    def _store_block(self, plaintext: bytes, companion_body: bytes) -> bytes:
        record = second.companion_record(companion_body, self.keys.keyring_id)
        self.site.vault.store(record, second.b3(record))
        return self._seal(RecordType.MANIFEST, plaintext)

    def _seal(self, type: RecordType, plaintext: bytes) -> bytes:
        id = second.chunk_id(self.keys.id_key, type, plaintext)
        sealed = self.maker.sealer.seal(type, id, plaintext)
        self.site.vault.store(bytes(sealed.record), sealed.cid)
        return id

    def _commit(self, block: bytes, companion: bytes, level: int) -> None:
        self.top_companion = companion
        names = ("host", "job", "pc1")
        payload = encode_payload(Payload(block, companion, level, *names, (b"/x",), (), "1", 1, 2, (), 1))
        id = second.chunk_id(self.keys.id_key, 4, payload)
        sealed = self.maker.sealer.seal(RecordType.ROOT, id, payload)
        number = len(self.site.vault.roots) + 1
        root = Root(
            1, True, self.keys.keyring_id, 1, JOB_ID, COMPUTER_ID, self.run_id, 1, number,
            self.site.vault.current_job().head_hash, 3, sealed.cid, block, companion, level,
            Figures(0, 0, 0, 0, 0, 0, 0, 0),
        )  # fmt: skip
        signed = sign_root(self.change_root(replace(root)), self.keys.signing_seed, self.keys.minimum_suite)
        self.site.vault.roots.append((signed, bytes(sealed.record)))
