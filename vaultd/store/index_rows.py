"""What goes into the index and comes out of it: records, containers, and what one transaction writes."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from vaultd.store.position import Position

KEY_ID_AT = 4  # before it the keyring's number


class Location(NamedTuple):
    """`is_damaged`: a read or a recovery found that what lies there is not the record, or its disk or run key was given
    up; it waits to be sent again.
    """

    keyring_number: int
    container: int
    offset: int
    length: int
    type: int
    is_damaged: bool
    key_number: int
    cid_prefix: bytes


class IndexRecord(NamedTuple):
    keyring_id: bytes
    id: bytes
    key_id: bytes
    container: int
    offset: int
    length: int
    type: int
    cid: bytes


class Dropped(NamedTuple):
    """A record that no safeset uses and no run may need: from now on it is not there."""

    keyring_id: bytes
    id: bytes
    container: int
    offset: int


class ContainerRow(Struct, frozen=True):
    number: int
    disk_id: bytes
    acknowledged_length: int
    indexed_length: int
    first_entry: int  # no entry of the journal before it names the container
    is_sealed: bool


class IndexBatch(Struct, frozen=True):
    """What one transaction writes. `position` None leaves the applied position where it is.

    `damaged`: ids and where their records were found damaged; a row that points elsewhere by now stays as it is.
    `first_wins`: a row that is there stays, unless it is damaged or lies in a container that was given up.
    `dropped`: a row that leads elsewhere stays, unless they are `dropped_anywhere`.
    `moved`: containers of which all that is needed lies elsewhere by now.
    """

    damaged: Sequence[tuple[bytes, Location]] = ()
    records: Sequence[IndexRecord] = ()
    containers: Sequence[ContainerRow] = ()
    position: Position | None = None
    first_wins: bool = False
    dropped: Sequence[Dropped] = ()
    dropped_anywhere: bool = False
    moved: Sequence[ContainerRow] = ()


class IndexRow(Struct, frozen=True):
    """A row of `records` as the check sees it; `location` is None where its checksum does not hold."""

    key: bytes
    location: Location | None

    @property
    def id(self) -> bytes:
        return self.key[KEY_ID_AT:]
