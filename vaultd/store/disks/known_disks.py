"""The disks that a vault ever had: one that is neither here nor lost is offline, whatever the settings say. Pure.

Whoever opens the store keeps the list (docs/format.md#catalog); what a store of an earlier version lacks of it is
told from the identity files and the table of containers.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct


class KnownDisk(Struct, frozen=True):
    """`number` is None where only the table of containers tells of it. `path`: where it was last, "" if unknown.

    `is_lost`: an operator declared it lost, or put another one in its place; nothing is read from it any more.
    """

    disk_id: bytes
    number: int | None
    is_lost: bool
    path: str

    @property
    def name_in_brackets(self) -> str:
        """The same, where it stands in brackets already."""
        return f"disk {self.disk_id.hex()}" if self.number is None else f"disk {self.number}, {self.disk_id.hex()}"

    def sentence_name(self) -> str:
        return f"disk {self.disk_id.hex()}" if self.number is None else f"disk {self.number} ({self.disk_id.hex()})"


class Here(Protocol):
    """A disk that is here, by its identity file."""

    @property
    def number(self) -> int: ...
    @property
    def disk_id(self) -> bytes: ...
    @property
    def path(self) -> object: ...


def with_those_here(known: Sequence[KnownDisk], here: Iterable[Here]) -> list[KnownDisk]:
    """One that is here, is not known and has the number of another took its place: only `disk.new` makes such one."""
    found = {disk.disk_id: disk for disk in known}
    for disk in here:
        if disk.disk_id not in found:
            replaced = [one for one in found.values() if one.number == disk.number]
            found.update((one.disk_id, msgspec.structs.replace(one, is_lost=True)) for one in replaced)
        found[disk.disk_id] = KnownDisk(disk.disk_id, disk.number, False, str(disk.path))
    return list(found.values())


def with_those_of_containers(known: Sequence[KnownDisk], disk_ids: Collection[bytes]) -> list[KnownDisk]:
    """Those that containers lie on and that are not known yet."""
    held = {disk.disk_id for disk in known}
    return [*known, *(KnownDisk(disk_id, None, False, "") for disk_id in sorted(set(disk_ids) - held))]


def is_replaced(disk: KnownDisk, known: Iterable[KnownDisk]) -> bool:
    """Another one has its number now: it cannot be taken back."""
    others = (one for one in known if one.disk_id != disk.disk_id and not one.is_lost)
    return disk.is_lost and any(one.number == disk.number is not None for one in others)


def vacant_numbers(
    known: Sequence[KnownDisk], here: Iterable[Here], paths: int, *, is_vouched: bool = True
) -> list[int]:
    """The numbers that a new disk may take: of those without a disk, those whose disk was declared lost, if any is.

    A list that nothing vouches for may be an old one, of a disk that was away: then no other number is taken.
    """
    numbers = {disk.number for disk in known if disk.number is not None} or set(range(paths))
    free = numbers - {disk.number for disk in here}
    lost = {disk.number for disk in known if disk.is_lost} - {disk.number for disk in known if not disk.is_lost}
    return sorted(free & lost or (free if is_vouched or not known else ()))
