"""What a store is opened with."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from vaultd.store.errors import FormatError
from vaultd.store.index.index import MAP_BYTES

RESERVE_BYTES = 64 * 1024 * 1024
CONTAINER_BYTES_MAX = 2 * 1024 * 1024 * 1024  # offsets in the index have 32 bits


class StoreSettings(Struct, frozen=True):
    """`disk_paths` in any order: disks are known by their identity."""

    index_path: Path
    disk_paths: Sequence[Path]
    vault_id: bytes
    container_bytes: int = 128 * 1024 * 1024
    journal_segment_bytes: int = 64 * 1024 * 1024
    reserve_bytes: int = RESERVE_BYTES
    index_map_bytes: int = MAP_BYTES


def check_settings(settings: StoreSettings) -> None:
    if not settings.disk_paths:
        raise FormatError("disks: at least one path is needed")
    if not 64 * 1024 <= settings.container_bytes <= CONTAINER_BYTES_MAX:
        raise FormatError(f"container_bytes {settings.container_bytes} is not between 65536 and {CONTAINER_BYTES_MAX}")
    if settings.journal_segment_bytes < 4096:
        raise FormatError(f"journal_segment_bytes {settings.journal_segment_bytes} is below 4096")
