"""What the offline check says of disks that are not here: one finding for each, with how many containers lie there."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from vaultd.store.disks.disk_set import Disks
from vaultd.store.disks.known_disks import is_replaced
from vaultd.store.findings import Finding, Severity
from vaultd.store.index_rows import ContainerRow


def absent_findings(disks: Disks, containers: Iterable[ContainerRow]) -> list[Finding]:
    """`disks` knows every disk that a container lies on."""
    counts = Counter(row.disk_id for row in containers if disks.find_id(row.disk_id) is None)
    ids = _ids_by_place(disks)
    found = []
    for finding in disks.offline_findings():
        disk_id = ids.get(finding.place, b"")
        if count := counts.pop(disk_id, 0):
            finding = msgspec.structs.replace(finding, sentence=f"{finding.sentence}; {_fate(disks, disk_id, count)}")
        found.append(finding)
    names = {disk.disk_id: disk.sentence_name() for disk in disks.known}
    for disk_id, count in sorted(counts.items()):
        place = names.get(disk_id, f"disk {disk_id.hex()}")
        found.append(Finding(Severity.warning, place, f"it is not here: {_fate(disks, disk_id, count)}"))
    return found


def _ids_by_place(disks: Disks) -> dict[str, bytes]:
    """By the places that the findings have; one that is offline goes before one that was lost at the same path."""
    lost = [disk for disk in disks.known if disk.is_lost and not is_replaced(disk, disks.known)]
    away = {one.place: one.disk.disk_id for one in disks.away() if one.disk is not None}
    return {disk.path or disk.sentence_name(): disk.disk_id for disk in lost} | away


def _fate(disks: Disks, disk_id: bytes, count: int) -> str:
    many = f"{count:,} container{'' if count == 1 else 's'}"
    if disks.is_given_up(disk_id):
        return f"{many} lay on it, whose records count as missing: the disk is lost"
    return f"{many} on it {'was' if count == 1 else 'were'} not checked"
