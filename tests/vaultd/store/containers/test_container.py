import errno
import os
import struct
from pathlib import Path

import pytest
from blake3 import blake3

from tests.vaultd.store.fakes import (
    KEY,
    KEYRING,
    NOW_NS,
    VAULT,
    FailingDoor,
    create,
    flip,
    make_companion,
    make_id,
    make_record,
    make_settings,
    records,
    reopen,
    short_hash,
    stored,
)
from vaultd.store.containers import open_containers
from vaultd.store.containers.format import (
    BLOCK_BYTES,
    ContainerHeader,
    DirectoryRow,
    decode_directory,
    decode_header,
    decode_padding,
    encode_directory,
    encode_header,
    encode_row,
    padding_length,
)
from vaultd.store.containers.reader import (
    ExpectedRecord,
    Gap,
    RecordPlace,
    Stretch,
    read_directory,
    read_record,
    scan,
)
from vaultd.store.containers.writer import BUFFER_BYTES, ContainerWriter, allocate_buffer
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import FormatError, NewerFormat, RecordDamaged, StoreBroken

BLOCK = 4096


def padding(length):
    head = struct.pack("<4sI", b"SSP1", length)
    return (head + short_hash(head)).ljust(length, b"\0")


def header_block(number):
    head = struct.pack("<4sB3s16sQIq", b"SSH1", 1, bytes(3), VAULT, number, 4096, NOW_NS)
    return (head + short_hash(head)).ljust(BLOCK, b"\0")


def row(offset, seed, record):
    return DirectoryRow(offset, len(record), 1, KEYRING, KEY, make_id(seed), blake3(record).digest())


def put(writer, seed, size=100):
    record = make_record(seed, size)
    offset = writer.length
    writer.append(record, row(offset, seed, record))
    return offset, record


def new_writer(tmp_path, door=None):
    path = tmp_path / "c"
    header = ContainerHeader(VAULT, 7, NOW_NS)
    return ContainerWriter.create(door or SystemDoor(), path, header, allocate_buffer()), path


def test_a_committed_container_byte_by_byte(tmp_path):
    store = create(make_settings(tmp_path))
    first, companion = make_record(1, 50), make_companion(b"\0" * 9)
    store.append(0, [stored(first), stored(companion)])
    store.commit()
    second = make_record(2, BLOCK - 84 - 10)  # leaves a gap of 10 bytes, less than a padding header
    store.append(0, [stored(second)])
    store.commit()
    body = first + companion
    expected = header_block(1) + body + padding(BLOCK - len(body)) + second + padding(BLOCK + 10)
    assert (tmp_path / "disk0/containers/0000/000000000001.container").read_bytes() == expected


def test_a_sealed_container_byte_by_byte(tmp_path):
    writer, path = new_writer(tmp_path)
    offset, record = put(writer, 5)
    assert offset == BLOCK
    length = writer.seal()
    directory = struct.pack("<4sI", b"SSD1", 1) + struct.pack(
        "<QIB3x16s16s32s32s", BLOCK, len(record), 1, KEYRING, KEY, make_id(5), blake3(record).digest()
    )
    directory += blake3(directory).digest()
    trailer = struct.pack("<4s4xQQQQ", b"SSF1", 7, 2 * BLOCK, len(directory), 1)
    expected = header_block(7) + record + padding(BLOCK - len(record))
    expected += directory + padding(BLOCK - len(directory))
    expected += (trailer + short_hash(trailer)).ljust(BLOCK, b"\0")
    assert path.read_bytes() == expected
    assert length == len(expected)
    assert read_directory(SystemDoor(), path, length) == [row(BLOCK, 5, record)]


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 0), (4096, 0), (1, 4095), (4080, 16), (4081, 4111), (4095, 4097), (8192 - 15, 4111)]
)
def test_padding_fills_up_to_a_boundary(offset, length):
    assert padding_length(offset) == length


def test_zeros_are_never_padding():
    with pytest.raises(FormatError):
        decode_padding(bytes(64))


def test_records_larger_than_the_buffer_cross_it(tmp_path):
    writer, path = new_writer(tmp_path)
    placed = [put(writer, seed, size) for seed, size in [(1, BUFFER_BYTES - 300), (2, 5_000_000), (3, 10)]]
    writer.commit()
    data = path.read_bytes()
    assert len(data) == writer.acknowledged_length
    assert len(data) % BLOCK == 0
    for offset, record in placed:
        assert data[offset : offset + len(record)] == record


def test_an_acknowledged_block_is_not_written_again(tmp_path):
    writes = []

    class Door(SystemDoor):
        def pwrite(self, handle, view, offset):
            writes.append((offset, len(view)))
            super().pwrite(handle, view, offset)

    writer, _ = new_writer(tmp_path, Door())
    for seed in range(4):
        put(writer, seed, 1000 * seed)
        writer.commit()
    ends = [0]
    for offset, length in writes:
        assert offset == ends[-1]
        ends.append(offset + length)


def test_a_refused_direct_write_goes_on_buffered(tmp_path):
    class Door(SystemDoor):
        def open_new(self, path, *, direct=False):
            handle = super().open_new(path)
            handle.direct = direct
            return handle

    refused = []
    real = os.pwrite

    def pwrite(descriptor, data, offset):
        if not refused:
            refused.append(offset)
            raise OSError(errno.EINVAL, "no direct writes here")
        return real(descriptor, data, offset)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        writer, path = new_writer(tmp_path, Door())
        offset, record = put(writer, 1)
        writer.commit()
    assert refused == [0]
    assert path.read_bytes()[offset : offset + len(record)] == record


def test_broken_stays_broken(tmp_path):
    door = FailingDoor()
    writer, _ = new_writer(tmp_path, door)
    put(writer, 1)
    door.arm(2)  # the first call is the write, the second its sync
    with pytest.raises(OSError, match="told to fail"):
        writer.commit()
    assert door.failed == "fdatasync"
    with pytest.raises(StoreBroken):
        put(writer, 2)


@pytest.fixture
def scanned(tmp_path):
    writer, path = new_writer(tmp_path)
    placed = [put(writer, seed) for seed in (1, 2)]
    writer.commit()
    placed += [put(writer, seed) for seed in (3, 4)]
    return path, placed, writer.commit()


def items(path, end, **kwargs):
    return list(scan(SystemDoor(), path, Stretch(BLOCK, end, **kwargs)))


def test_a_scan_finds_every_record(scanned):
    path, placed, end = scanned
    assert [(item.offset, item.cid) for item in items(path, end)] == [
        (offset, blake3(record).digest()) for offset, record in placed
    ]
    assert [(item.offset, item.cid) for item in items(path, end, with_cid=False)] == [
        (offset, b"") for offset, _ in placed
    ]


def test_a_scan_goes_on_after_damage(scanned):
    path, placed, end = scanned
    flip(path, placed[1][0] + 50)  # header of the second record
    found = items(path, end)
    assert isinstance(found[1], Gap)
    assert (found[1].offset, found[1].length) == (placed[1][0], len(placed[1][1]))
    assert [item.offset for item in found if not isinstance(item, Gap)] == [placed[at][0] for at in (0, 2, 3)]


def test_every_flipped_byte_outside_of_bodies_is_a_gap(scanned):
    path, placed, end = scanned
    good = path.read_bytes()
    bodies = {at for offset, record in placed for at in range(offset + 84, offset + len(record))}
    for at in list(range(BLOCK, BLOCK + 500)) + [2 * BLOCK - 1]:
        data = bytearray(good)
        data[at] ^= 0x10
        path.write_bytes(data)
        assert any(isinstance(item, Gap) for item in items(path, end)) == (at not in bodies)


def test_a_scan_of_a_short_file_says_so(scanned):
    path, _, end = scanned
    os.truncate(path, BLOCK + 150)
    found = items(path, end)
    assert isinstance(found[-1], Gap)
    assert found[-1].offset + found[-1].length == end


def test_a_record_is_checked_before_it_is_returned(scanned):
    path, placed, _ = scanned
    offset, record = placed[2]
    place = RecordPlace(path, offset, len(record))
    expected = ExpectedRecord(make_id(3), blake3(record).digest()[:16])
    assert read_record(SystemDoor(), place, expected) == record
    for at in range(len(record)):
        flip(path, offset + at)
        with pytest.raises(RecordDamaged, match=make_id(3).hex()):
            read_record(SystemDoor(), place, expected)
        flip(path, offset + at)
    with pytest.raises(RecordDamaged, match="it holds record"):
        read_record(SystemDoor(), place, ExpectedRecord(make_id(4), expected.cid_prefix))


def test_a_full_container_is_sealed_and_the_next_begun(tmp_path):
    store = create(make_settings(tmp_path))
    store.append(0, records(*range(10), size=20_000))
    store.commit()
    names = sorted(path.name for path in (tmp_path / "disk0/containers/0000").iterdir())
    assert names == [f"{number:012x}.container" for number in (1, 2, 3, 4)]
    for number in (1, 2, 3):
        path = tmp_path / f"disk0/containers/0000/{number:012x}.container"
        assert len(read_directory(SystemDoor(), path, path.stat().st_size)) == 3


@pytest.mark.parametrize("name", ["header", "trailer", "directory"])
def test_damaged_parts_of_a_sealed_container_are_named(tmp_path, name):
    writer, path = new_writer(tmp_path)
    put(writer, 1)
    length = writer.seal()
    flip(path, {"header": 9, "trailer": length - BLOCK + 9, "directory": 2 * BLOCK + 20}[name])
    if name != "header":
        with pytest.raises(FormatError, match=name):
            read_directory(SystemDoor(), path, length)


def test_a_container_is_sealed_when_it_has_so_many_rows(tmp_path, monkeypatch):
    """Its directory is held in memory, so tiny records must not make it endless."""
    assert open_containers.RECORDS_MAX == 65_536
    monkeypatch.setattr(open_containers, "RECORDS_MAX", 8)
    settings = make_settings(tmp_path)
    store = create(settings)
    store.append(0, records(*range(5), size=8))
    store.commit()
    store.close()
    store = reopen(settings)
    store.append(0, records(*range(5, 20), size=8))
    store.commit()
    found = [store.locate(KEYRING, [make_id(seed)])[0].container for seed in range(20)]
    assert [found.count(number) for number in (1, 2, 3)] == [8, 8, 4]
    for number in (1, 2):
        path = tmp_path / "disk0" / "containers" / "0000" / f"{number:012x}.container"
        assert len(read_directory(SystemDoor(), path, path.stat().st_size)) == 8
    store.close()


@pytest.mark.parametrize("at", [0, 4, 5, 32])
def test_a_header_of_a_later_version_is_no_damage(at):
    block = bytearray(encode_header(ContainerHeader(b"v" * 16, 7, 0)))
    end = block.rindex(block.rstrip(b"\0")[-8:])
    block[at] ^= 2
    block[end : end + 8] = short_hash(bytes(block[:end]))
    assert len(block) == BLOCK_BYTES
    with pytest.raises(NewerFormat, match="container with"):
        decode_header(bytes(block), Path("x.container"))


def test_a_directory_of_a_later_version_is_no_damage():
    row = bytearray(encode_row(DirectoryRow(4096, 100, 1, b"k" * 16, b"y" * 16, b"i" * 32, b"c" * 32)))
    row[14] = 1
    with pytest.raises(NewerFormat, match="directory"):
        decode_directory(encode_directory(row))
