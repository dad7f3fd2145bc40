"""Errors of the store: each is one sentence that names the file or the field and what to do."""


class StoreError(Exception):
    """Something about the bytes on disk; the subclasses say whose fault and how far it reaches."""


class StoreBroken(StoreError):
    """A write or a sync failed: nothing is written until the store was opened and recovered again."""


class RecordDamaged(StoreError):
    """A stored record, or the index row that leads to it, does not hold its checksum."""


class RecordError(StoreError, ValueError):
    """Bytes that claim to be a record are not one; the sentence names the field."""


class NewerRecord(RecordError):
    """The checksum of the header holds and something in it is not known: where the cid of the `record_length` bytes is
    vouched for, a later version wrote it, and else they only look like a record.
    """

    def __init__(self, sentence: str, record_length: int) -> None:
        super().__init__(sentence)
        self.record_length = record_length


class DiskMissing(StoreError):
    """A disk is offline: what lies on it is out of reach and not damaged."""


class JournalBehind(StoreError):
    """Acknowledged entries are not in any copy of the journal that is here; nothing was changed."""


class KeyUnread(StoreError):
    """A copy of an erase key is there and cannot be read now: nothing is said about what is wrapped under it."""


class RecordUnread(StoreError):
    """The system does not read it now, for want of descriptors or memory: nothing is said about the record."""


class InUse(StoreError):
    """Another process works on this vault directory or on one of its disks."""


class NoSpace(StoreError):
    """No disk has room for more."""


class FormatError(StoreError):
    """A file or an entry does not follow the format."""


class NewerFormat(StoreError):
    """The checksum holds and the version, or something that this one leaves zero, is not known: what a later version
    wrote is never taken for damage, passed over, mended or cut. No FormatError, so that nobody handles it as one.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was written by a later version of vaultd: start that one")
