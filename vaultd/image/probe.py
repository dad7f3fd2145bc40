"""Whether the file of an image is whole, found out by a process of its own: a page that the disk refuses, or that leads
astray, ends the process that follows it.

The child walks every page by itself, compares the checksums of the rows that are named, and then lets LMDB walk what it
can reach. Nothing is written. Only what the child says of the file, or its death over the file, counts against it: what
keeps the child from looking is Unavailable, and says nothing about the file.
"""

import json
import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import lmdb

import vaultd
from vaultd.errors import Unavailable
from vaultd.image.environment import explain, is_damage
from vaultd.image.pages import ImagePages, PageFault
from vaultd.image.rows import open_row

DATA_NAME = "data.mdb"
META = "meta"
GIVEN_UP = b"given_up"  # begins the rows of `meta` of an index that name run keys
MOVED = b"moved"  # and those that name containers whose files may go
_CHECKED_META = b"position"  # this and those; the others say whose rows these are, and are compared with that
_BEGUN = "begun"
_DEADLY = {signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE}


class Image(NamedTuple):
    """`checked`: by each format that is known, the tables whose rows are held against their checksums."""

    path: Path
    tables: Sequence[str]
    checked: Mapping[bytes, Sequence[str]]


class Look(NamedTuple):
    """`fault`: a sentence why the image is not to be believed, or nothing. `position`: the row of that name, where it
    can be told and holds its checksum, also of an image that has a fault.
    """

    fault: str = ""
    position: bytes = b""


def look_at(images: Sequence[Image]) -> list[Look]:
    """In their order; one that is not there has no fault."""
    looks = {image.path: Look() for image in images}
    waiting = [image for image in images if is_there(image)]
    while waiting:
        for look in _ask(waiting):
            looks[waiting.pop(0).path] = look
    return [looks[image.path] for image in images]


def find_fault(image: Image) -> str:
    return look_at([image])[0].fault


def is_there(image: Image) -> bool:
    """LMDB makes an empty file anew."""
    data = image.path / DATA_NAME
    return data.exists() and data.stat().st_size > 0


def _ask(images: Sequence[Image]) -> list[Look]:
    """What is to be said of the first images, up to the one that the child died of."""
    done = _run(images)
    begun, *lines = done.stdout.splitlines() or [""]
    looks = [Look(fault, bytes.fromhex(position)) for fault, position in map(json.loads, lines)]
    if begun == _BEGUN and done.returncode == 0 and len(looks) == len(images):
        return looks
    if begun == _BEGUN and -done.returncode in _DEADLY and len(looks) < len(images):
        name = signal.Signals(-done.returncode).name
        death = f"the process that looked through it died of {name}: the file is cut, or the disk refuses a page of it"
        return [*looks, Look(death)]
    complaint = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
    raise _unavailable(images[min(len(looks), len(images) - 1)], complaint[-1])


def _run(images: Sequence[Image]) -> "subprocess.CompletedProcess[str]":
    root = str(Path(vaultd.__file__).parents[1])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-P", "-m", __name__, *map(_words, images)]
    environment = os.environ | {"PYTHONPATH": paths}
    try:
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            check=False,
        )  # fmt: skip
    except OSError as error:
        raise _unavailable(images[0], str(error)) from error


def _words(image: Image) -> str:
    checked = {format_.hex(): list(tables) for format_, tables in image.checked.items()}
    return json.dumps([str(image.path), list(image.tables), checked])


def _image(words: str) -> Image:
    path, tables, checked = json.loads(words)
    return Image(Path(path), tables, {bytes.fromhex(format_): names for format_, names in checked.items()})


def _unavailable(image: Image, reason: str) -> Unavailable:
    sentence = f"{image.path} could not be looked through, which says nothing about it: {reason}"
    return Unavailable(sentence, "start vaultd again; it needs memory, address space and processes for a second Python")


def _main(images: Sequence[str]) -> None:
    """A line when it begins, and one for each image at its end: fault and position."""
    print(_BEGUN, flush=True)
    for words in images:
        fault = ""
        image = _image(words)
        try:
            look_through(image)
        except PageFault as problem:
            fault = str(problem)
        print(json.dumps([fault, _position(image).hex()]), flush=True)


def look_through(image: Image) -> None:
    """In this process, which may die of what is in the file; PageFault says what is wrong with it."""
    with _mapped(image) as data:
        _check_tables(ImagePages(data), image)
    _let_lmdb_walk(image)


def _position(image: Image) -> bytes:
    try:
        with _mapped(image) as data:
            meta = _meta(ImagePages(data))
    except PageFault:
        return b""
    is_checked = META in image.checked.get(meta.get(b"format", b""), ())
    return (is_checked and open_row(_CHECKED_META, meta.get(_CHECKED_META, b""))) or b""


@contextmanager
def _mapped(image: Image) -> Iterator[mmap.mmap]:
    with (image.path / DATA_NAME).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def _meta(pages: ImagePages) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    tables = pages.tables()
    if META in tables:
        for rows in pages.rows(META, tables[META]):
            found.update(zip(rows.keys, rows.values, strict=True))
    return found


def _check_tables(pages: ImagePages, image: Image) -> None:
    tables = pages.tables()
    meta: dict[bytes, bytes] = {}
    if META in tables:
        for rows in pages.rows(META, tables[META]):
            meta.update(zip(rows.keys, rows.values, strict=True))
    checked = image.checked.get(meta.get(b"format", b""))
    if b"format" not in meta and any(tree.rows for tree in tables.values()):
        raise PageFault("it has rows and does not say of which format")
    missing = sorted(set(image.tables) - set(tables))
    if missing and checked is not None:
        raise PageFault(f"its table {missing[0]} is missing")
    if META in (checked or ()):
        for key, value in meta.items():
            if key == _CHECKED_META or key.startswith((GIVEN_UP, MOVED)):
                _check_row(META, key, value)
    for name in sorted(set(tables) - {META}):
        for rows in pages.rows(name, tables[name]):
            if name in (checked or ()):
                for key, value in zip(rows.keys, rows.values, strict=True):
                    _check_row(name, key, value)
    pages.check_free()


def _check_row(name: str, key: bytes, value: bytes) -> None:
    if open_row(key, value) is None:
        raise PageFault(f"row {key.hex()} of its table {name} does not hold its checksum")


def _let_lmdb_walk(image: Image) -> None:
    """What the walk above takes for whole, LMDB must find whole too; a copy follows every page that it can reach."""
    try:
        environment = lmdb.open(str(image.path), readonly=True, lock=False, create=False, readahead=False)
        with environment, Path(os.devnull).open("wb") as nowhere:
            environment.copyfd(nowhere.fileno(), compact=True)
    except lmdb.Error as problem:
        if not is_damage(problem):
            raise
        raise PageFault(f"LMDB cannot walk through it: {explain(problem)}") from problem


if __name__ == "__main__":
    _main(sys.argv[1:])
