"""The restore orders that this agent took, each by the id of its message: none is carried out once more after its end.

One that was cut, by a kill or a vault that went away, is gone on with as long as it is good. So an order is remembered
before anything is restored, and its end before the vault is told of it. A file for each, in a directory of its own,
because a backup that goes on beside cleans up in the state's.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
from blake3 import blake3

from tools.client.failure import Failure
from tools.client.private_file import read_private, replace_private

# The newest are kept, however old: a clock that jumps ahead and back would else make a message good once more.
KEPT_MAX = 10_000
_FILE_BYTES_MAX = 4096


class Damaged(Failure):
    """Whether the order was carried out before is not known."""


class OrderEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As the vault is told."""

    outcome: str
    exit_code: int
    code: str = ""
    files: int = 0
    bytes: int = 0
    left: int = 0
    warnings: int = 0


class _Taken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`digest`: of the whole message."""

    digest: str
    end: OrderEnd | None = None


@dataclass(frozen=True, slots=True)
class TakenOrders:
    directory: Path

    def begin(self, message_id: bytes, message: bytes) -> OrderEnd | None:
        """Remembers it; how it ended where it was carried out already. ValueError for another message with its id,
        Damaged where nobody knows that any more.
        """
        self.directory.mkdir(mode=0o700, exist_ok=True)
        self._forget_old()
        taken = _Taken(blake3(message).hexdigest())
        known = self._read(message_id)
        if known is None:
            self._write(message_id, taken)
            return None
        if known.digest != taken.digest:
            raise ValueError("another message had this id")
        return known.end

    def end(self, message_id: bytes, end: OrderEnd) -> None:
        known = self._read(message_id)
        assert known is not None
        self._write(message_id, msgspec.structs.replace(known, end=end))

    def _read(self, message_id: bytes) -> _Taken | None:
        path = self._path(message_id)
        try:
            return msgspec.json.decode(read_private(path, _FILE_BYTES_MAX), type=_Taken)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Damaged("damaged", f"{path} is damaged: {error}", "order the restore anew") from None

    def _write(self, message_id: bytes, taken: _Taken) -> None:
        replace_private(self._path(message_id), msgspec.json.encode(taken))

    def _path(self, message_id: bytes) -> Path:
        return self.directory / message_id.hex()

    def _forget_old(self) -> None:
        """Also what a kill left half written: one restore at a time is at work here. What is no file is not ours."""
        with os.scandir(self.directory) as entries:
            files = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
        files.sort(key=lambda entry: (not entry.name.startswith("."), entry.stat().st_mtime_ns))
        half_written = sum(entry.name.startswith(".") for entry in files)
        for entry in files[: max(half_written, len(files) - KEPT_MAX + 1)]:
            os.unlink(entry)
