"""The byte tables of docs/format.md against the structs of both sides: same fields, sizes, offsets and magics."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from tools.client import envelope, job_secret, record_format, root, run_key, slot
from vaultd.catalog import database
from vaultd.operations import root_format, sealed_headers
from vaultd.store import record_format as stored_record
from vaultd.store.containers import format as container_format
from vaultd.store.index import record_row
from vaultd.store.journal import format as journal_format

PAGE = Path(__file__).resolve().parent.parent / "docs" / "format.md"
Row = tuple[int, int, str]


def table(heading: str) -> list[Row]:
    """(offset, size, field) of the fixed rows of the first byte table below a heading or bold title."""
    text = PAGE.read_text(encoding="utf-8")
    part = text.split(heading, 1)[1]
    lines = part[part.index("| offset |") :].splitlines()[2:]
    rows = []
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            break
        if not (cells[0].isdigit() and cells[1].isdigit()):
            break
        rows.append((int(cells[0]), int(cells[1]), cells[2]))
    return rows


def sizes(*formats: str) -> list[int]:
    """Sizes of the fields of little-endian struct formats, one after another."""
    found = []
    for layout in formats:
        assert layout.startswith("<")
        for count, code in re.findall(r"(\d*)([a-zA-Z])", layout[1:]):
            size = struct.calcsize("<" + count + code)
            found += [size] if code in "sx" else [struct.calcsize("<" + code)] * int(count or 1)
    return found


STRUCTS = {
    "## Record\n": [[record_format._HEADER], [stored_record._HEADER]],
    "## Slot\n": [[slot._HEADER], [sealed_headers._SLOT]],
    "## Sealed run key\n": [[run_key._HEADER], [sealed_headers._RUN_KEY]],
    "## Job secret\n": [[job_secret._HEADER], [sealed_headers._SECRET]],
    "## Root\n": [[root._HEAD, root._BODY], [root_format._ROOT]],
    "**Inner plaintext**": [[envelope._INNER]],
    "Header block (4,096": [[container_format._HEADER]],
    "padding record\nto the boundary": [[container_format._TRAILER]],
    "A segment begins with 96 bytes": [[journal_format._SEGMENT]],
    "Then entries:": [[journal_format._ENTRY]],
}


@pytest.mark.parametrize("heading", STRUCTS)
def test_offsets_follow_from_sizes(heading: str) -> None:
    rows = table(heading)
    assert rows
    at = 0
    for offset, size, field in rows:
        assert offset == at, f"{field}: the page says {offset}, the fields before it end at {at}"
        at += size


@pytest.mark.parametrize("heading", STRUCTS)
def test_the_code_has_the_fields_of_the_page(heading: str) -> None:
    page = [size for _, size, _ in table(heading)]
    for structs in STRUCTS[heading]:
        code = sizes(*(one.format for one in structs))
        assert code == page[: len(code)], f"{heading.strip()}: the page has {page}, the code {code}"
        assert len(page) - len(code) <= 2, "what the struct leaves to others is a checksum or a commitment"


def test_the_index_value_has_48_bytes() -> None:
    assert "value, 48 bytes" in PAGE.read_text(encoding="utf-8")
    assert record_row._VALUE.size + 8 == 48


def test_the_catalog_is_of_the_format_of_the_page() -> None:
    part = PAGE.read_text(encoding="utf-8").split("\n## Catalog\n", 1)[1].split("\n## ", 1)[0]
    assert f"`format` is `{database.FORMAT.decode()}`" in part
    assert f"In format `{database.FORMAT_1.decode()}`" in part
    assert "`position` (timeline u32, number u64, hash 32)" in part
    assert sizes(database.POSITION.format) == [4, 8, 32]


@pytest.mark.parametrize(
    ("magic", "names"),
    [
        (record_format.RECORD_MAGIC, "SSR1"),
        (stored_record.COMPANION_MAGIC, "SSC1"),
        (slot._MAGIC, "SSK1"),
        (run_key._MAGIC, "SSY1"),
        (job_secret._MAGIC, "SSM1"),
        (root._MAGIC, "SST1"),
        (container_format.PADDING_MAGIC, "SSP1"),
        (container_format.DIRECTORY_MAGIC, "SSD1"),
    ],
)
def test_magics_are_those_of_the_page(magic: bytes, names: str) -> None:
    assert magic == names.encode()
    assert f"`{names}`" in PAGE.read_text(encoding="utf-8")


def test_every_entry_kind_of_the_journal_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    part = text.split("| kind | name | details |", 1)[1].split("\n\n", 1)[0]
    written = {int(number): name for number, name in re.findall(r"^\| (\d+) \| ([a-z_]+) \| ", part, re.MULTILINE)}
    assert written == {kind.value: kind.name for kind in journal_format.EntryKind}
