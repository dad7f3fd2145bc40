"""Files of the base of which the vault has lost something: those that this run stores anew, and those that it cannot.

At most KEPT_MAX are followed by name. One thread at a time.
"""

from tools.client.output import Output
from tools.client.terminal_text import escape_path

KEPT_MAX = 1000


class HitFiles:
    """Keys are paths with a zero byte for each slash; those of the scan come after all of the base."""

    def __init__(self) -> None:
        self.count = 0
        self.stored_anew: list[bytes] = []
        self._hashes: dict[bytes, bytes] = {}  # of those that were not met as they were
        self._newest = b""

    def add(self, key: bytes, content_hash: bytes) -> None:
        """In the order of the keys; one may come several times in a row."""
        if self.count and key == self._newest:
            return
        self._newest = key
        self.count += 1
        if len(self._hashes) < KEPT_MAX:
            self._hashes[key] = content_hash

    def met(self, path: bytes, content_hash: bytes | None) -> None:
        """The scan read this file, and all of it is stored with the run."""
        key = path.replace(b"/", b"\0") if self._hashes else b""
        if content_hash is not None and self._hashes.get(key) == content_hash:
            del self._hashes[key]
            self.stored_anew.append(path)

    @property
    def left(self) -> list[bytes]:
        """At the end: those that are gone or changed, so that older safesets keep the damage."""
        return [key.replace(b"\0", b"/") for key in self._hashes]

    @property
    def not_followed(self) -> int:
        return self.count - len(self.stored_anew) - len(self._hashes)


def tell_hit_files(output: Output, hit: HitFiles) -> None:
    """Each that was followed, and how many more there are."""
    for path in hit.stored_anew:
        _tell(output, path, "stored anew", "stored_anew")
    for path in hit.left:
        _tell(output, path, "not stored anew, gone or changed", "not_stored_anew")
    if hit.not_followed:
        output.note(f"note: of {hit.not_followed} more files the vault had lost something; what is here is stored anew")


def _tell(output: Output, path: bytes, words: str, kind: str) -> None:
    shown = "/" + escape_path(path)
    output.line({"type": kind, "path": shown})
    if not output.json:
        output.note(f"{words}: {shown}")
