"""The disks that the vault ever had, by id."""

from collections.abc import Iterator

from vaultd.catalog.database import View
from vaultd.catalog.rows import decode, put
from vaultd.records import Change, DiskRow


def save_disk(disk: DiskRow) -> list[Change]:
    return [put("disks", disk.disk_id, disk)]


def list_disks(view: View) -> Iterator[DiskRow]:
    for key, value in view.scan("disks"):
        yield decode("disks", key, value, DiskRow)
