"""The file system of a disk is shut down under the running store, as by a pulled device: real ext4 and xfs."""

import fcntl
import os
import shutil
import struct
import subprocess

import pytest

from tests.vaultd.store.fakes import KEYRING, create, make_id, make_record, make_settings, read, records, reopen
from vaultd.store.errors import DiskMissing, StoreBroken

SHUT_DOWN = 0x8004587D  # _IOR('X', 125, __u32) of ext4 and xfs
WITHOUT_LOG = struct.pack("I", 2)
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}


def run(*words):
    return subprocess.run([*map(str, words)], capture_output=True, check=False).returncode == 0


@pytest.fixture(params=sorted(MAKE))
def third_disk(request, tmp_path):
    """Mounted as the third of a store's disks: (image, mount point)."""
    command = MAKE[request.param]
    if os.geteuid() or not shutil.which(command[0]):
        pytest.skip(f"{request.param} is not to be had here")
    image, place = tmp_path / "image", tmp_path / "disk2"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(400 << 20)
    if not (run(*command, image) and run("mount", "-o", "loop", image, place)):
        pytest.skip(f"no {request.param} can be mounted here")
    yield image, place
    run("umount", "-l", place)


def shut_down(place):
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, SHUT_DOWN, WITHOUT_LOG)
    finally:
        os.close(descriptor)


def running(tmp_path):
    settings = make_settings(tmp_path, disks=3)
    store = create(settings)
    store.append(2, records(1))
    store.commit()
    return settings, store


def test_what_lies_on_it_is_out_of_reach_and_what_comes_goes_elsewhere(tmp_path, third_disk):
    image, place = third_disk
    settings, store = running(tmp_path)
    shut_down(place)
    with pytest.raises(DiskMissing, match="its disk went away"):
        read(store, 1)
    store.look_after_disks()
    assert store.disks.paths_away == [str(place)]
    store.append(2, records(2))
    store.commit()
    assert store.missing(KEYRING, [make_id(1), make_id(2)]) == [False, False]
    assert read(store, 2) == make_record(2)
    store.close()
    store = reopen(settings)
    assert store.disks.paths_away == [str(place)]
    with pytest.raises(DiskMissing, match="offline"):
        read(store, 1)
    store.close()
    assert run("umount", "-l", place)
    assert run("mount", "-o", "loop", image, place)
    store = reopen(settings)
    assert store.disks.paths_away == []
    assert [read(store, number) for number in (1, 2)] == [make_record(1), make_record(2)]
    store.close()


def test_a_write_to_it_stops_the_store_and_the_next_start_does_without(tmp_path, third_disk):
    _, place = third_disk
    settings, store = running(tmp_path)
    store.append(2, records(2, size=5000))
    shut_down(place)
    with pytest.raises(StoreBroken):
        store.commit()
    store.close()
    store = reopen(settings)
    assert store.disks.paths_away == [str(place)]
    assert store.missing(KEYRING, [make_id(1), make_id(2)]) == [False, True]
    store.append(2, records(2, size=5000))
    store.commit()
    assert read(store, 2) == make_record(2, 5000)
    store.close()
