"""Errors of the store: each is one sentence that names the file or the field and what to do."""


class StoreError(Exception):
    """Something about the bytes on disk; the subclasses say whose fault and how far it reaches."""


class StoreBroken(StoreError):
    """A write or a sync failed: nothing is written until the store was opened and recovered again."""


class RecordDamaged(StoreError):
    """A stored record, or the index row that leads to it, does not hold its checksum."""


class RecordError(StoreError, ValueError):
    """Bytes that claim to be a record are not one; the sentence names the field."""


class DiskMissing(StoreError):
    """A disk is offline: what lies on it is out of reach and not damaged."""


class InUse(StoreError):
    """Another process works on this vault directory or on one of its disks."""


class NoSpace(StoreError):
    """No disk has room for more."""


class FormatError(StoreError):
    """A file or an entry does not follow the format or is of an unknown version."""
