"""The order of writing as the kernel sees it: strace of a real vault on the real file system.

The other tests of this order put a door between the vault and the system; this one watches behind that door.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CALLS = "openat,pwrite64,pwritev,fdatasync,fsync,rename,renameat,renameat2"
CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)")


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """(call, path below the vault) of everything that succeeded; a rename has the new path, a marker its name."""
    directory = tmp_path_factory.mktemp("traced")
    output = directory / "strace.out"
    subprocess.run(
        ["strace", "-f", "-y", "-s", "0", "-e", f"trace={CALLS}", "-o", output, sys.executable, "-m",
         "tests.vaultd.operations.traced", str(directory)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, timeout=120,
    )  # fmt: skip
    return [call for line in output.read_text().splitlines() for call in _calls(line, str(directory) + "/")]


def _calls(line: str, directory: str) -> list[tuple[str, str]]:
    found = CALL.match(line)
    if found is None or int(found[3]) < 0:
        return []
    name, arguments = found[1], found[2]
    paths = [path.removeprefix(directory) for path in re.findall(rf"{re.escape(directory)}[^>\"]*", arguments)]
    if not paths:
        return []
    if name == "openat":
        return [("marker", paths[-1].removesuffix(".marker"))] if paths[-1].endswith(".marker") else []
    call = {"pwrite64": "write", "pwritev": "write", "renameat": "rename", "renameat2": "rename"}.get(name, name)
    return [(call, paths[-1].removeprefix("vault/"))]


def between(trace: list[tuple[str, str]], begin: str, end: str) -> list[tuple[str, str]]:
    """Without the writes of LMDB, whose order is its own: its sync is what counts."""
    part = trace[trace.index(("marker", begin)) + 1 : trace.index(("marker", end))]
    return [call for call in part if not (call[0] == "write" and call[1].endswith(".mdb"))]


def journal_of(part: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Both copies are written, then both are synced."""
    (name,) = {path.rpartition("/")[2] for _, path in part if path.endswith(".journal")}
    return [(call, f"{disk}/journal/{name}") for call in ("write", "fdatasync") for disk in ("disk-1", "disk-2")]


def test_a_group_commit_is_synced_in_order_before_it_returns(trace: list[tuple[str, str]]) -> None:
    part = between(trace, "upload", "uploaded")
    (container,) = {path for _, path in part if path.endswith(".container")}
    folder = container.rpartition("/")[0]
    assert part == [
        ("write", container),
        ("fdatasync", container),
        ("fsync", folder.rpartition("/")[0]),
        ("fsync", folder),
        *journal_of(part),
        ("fdatasync", "index/data.mdb"),
    ]


def test_an_erase_key_is_durable_before_the_journal_has_its_job(trace: list[tuple[str, str]]) -> None:
    part = between(trace, "job", "job-made")
    (name,) = {path.rpartition("/")[2] for _, path in part if path.endswith(".key")}
    keys = [
        (call, f"{disk}/erase-keys{path}")
        for disk in ("disk-1", "disk-2")
        for call, path in [
            ("write", f"/{name}.tmp"),
            ("fdatasync", f"/{name}.tmp"),
            ("rename", f"/{name}"),
            ("fsync", ""),
        ]
    ]
    assert part == [*keys, *journal_of(part), ("fdatasync", "index/data.mdb"), ("fdatasync", "catalog/data.mdb")]
