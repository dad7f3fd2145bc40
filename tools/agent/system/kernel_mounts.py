"""Mounted file systems that are taken otherwise than most, by their type.

KERNEL_TYPES hold no data but show what the kernel knows; a backup enters them only where it is told to. What mounts on
demand (autofs) is none of them: it has the data of a disk as soon as its directory is opened.

UNSTEADY_TYPES have change times that say nothing: images have those of their making, others repeat the modification
time. Another image under the same path, or a file that got its old time back, looks unchanged there.
"""

import os
from pathlib import Path

KERNEL_TYPES = frozenset({
    b"binfmt_misc", b"bpf", b"cgroup", b"cgroup2", b"configfs", b"debugfs", b"devpts", b"devtmpfs",
    b"efivarfs", b"fusectl", b"hugetlbfs", b"mqueue", b"nsfs", b"proc", b"pstore", b"rpc_pipefs", b"securityfs",
    b"selinuxfs", b"sysfs", b"tracefs",
})  # fmt: skip
UNSTEADY_TYPES = frozenset({
    b"cramfs", b"erofs", b"exfat", b"fuse.rclone", b"fuse.squashfuse", b"fuse.sshfs", b"fuseblk", b"iso9660", b"msdos",
    b"romfs", b"squashfs", b"udf", b"vfat",
})  # fmt: skip
_MOUNTS = Path("/proc/self/mountinfo")


def kernel_devices(mounts: Path = _MOUNTS) -> frozenset[int]:
    return mounted_devices(KERNEL_TYPES, mounts)


def mounted_devices(types: frozenset[bytes], mounts: Path = _MOUNTS) -> frozenset[int]:
    """The device numbers of what is mounted now; none where the kernel does not say what is mounted."""
    try:
        lines = mounts.read_bytes().splitlines()
    except OSError:
        return frozenset()
    found = set()
    for line in lines:
        # 36 35 98:0 /root /mount/point options - type source options
        fields, _, ending = line.partition(b" - ")
        if ending.split(b" ", 1)[0] in types:
            major, minor = fields.split(b" ")[2].split(b":")
            found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)
