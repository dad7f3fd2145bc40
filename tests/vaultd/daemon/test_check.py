"""`vaultd check` as people and scripts meet it: lines, summary and exit code."""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.vaultd.operations.small_site import Site, make_site
from tests.vaultd.operations.test_safesets import commit_leaf
from vaultd.config import CONFIG_FILE, config_text
from vaultd.daemon import reading_screen
from vaultd.daemon.check import check
from vaultd.operations import safesets, upload
from vaultd.operations.vault import close_vault


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A vault that was stopped, with a safeset whose records lie on the second disk."""
    for module in (safesets, upload):
        monkeypatch.setattr(module, "home_disk_number", lambda *_: 1)
    site = make_site(tmp_path)
    commit_leaf(site, site.ready(site.administrator("acme")))
    close_vault(site.vault)
    (site.config.directory / CONFIG_FILE).write_text(config_text({"name": "north", "disks": ["disk-1", "disk-2"]}))
    return site


Checked = tuple[int, list[str]]
Check = Callable[..., Checked]


@pytest.fixture
def checked(site: Site, capsys: pytest.CaptureFixture[str]) -> Check:
    """The exit code and the lines."""

    def run(*, read_data: bool = False, as_json: bool = False) -> Checked:
        code = check(site.config.directory, read_data=read_data, as_json=as_json)
        return code, capsys.readouterr().out.splitlines()

    return run


def summary(done: Checked) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done[1][-1])
    return found


def test_a_whole_vault_is_told_as_whole(checked: Check) -> None:
    code, lines = checked(read_data=True)
    assert (code, lines[-1]) == (0, "no damage found; every record was read")
    assert summary(checked(as_json=True))["not_checked"] == []


@pytest.mark.parametrize("read_data", [False, True])
def test_the_summary_says_whether_the_data_was_read(checked: Check, *, read_data: bool) -> None:
    assert summary(checked(read_data=read_data, as_json=True))["data_read"] is read_data


@pytest.mark.usefixtures("started_looks")
@pytest.mark.parametrize("read_data", [False, True])
def test_a_script_gets_one_document_however_long_it_takes(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, read_data: bool
) -> None:
    """Each look at the clock is an hour after the one before."""
    hours = itertools.count()
    monkeypatch.setattr(reading_screen.time, "monotonic", lambda: next(hours) * 3600.0)
    check(site.config.directory, read_data=read_data, as_json=True)
    told = capsys.readouterr()
    assert json.loads(told.out)["type"] == "summary"
    assert told.err == ""


@pytest.mark.parametrize("as_json", [False, True])
def test_a_terminal_sees_one_line_that_goes_at_the_end(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, as_json: bool
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    check(site.config.directory, read_data=False, as_json=as_json)
    told = capsys.readouterr()
    shown = told.err
    assert "\x1b" not in told.out
    assert "checking containers 0 of 1  0 of 0 MB  0 records" in shown
    assert shown.endswith("\r\x1b[K")


def test_a_disk_that_is_away_is_never_told_as_whole(site: Site, checked: Check) -> None:
    disk = site.config.directory / "disk-2"
    disk.rename(site.config.directory / "away")
    code, lines = checked()
    assert code == 3
    assert lines[-1] == (
        f"no damage found in what was checked; not checked: what lies on {disk}, which is offline; "
        "records were not read (--read-data)"
    )
    done = checked(as_json=True)
    assert (done[0], summary(done)["not_checked"]) == (3, [f"what lies on {disk}, which is offline"])


@pytest.mark.parametrize(
    ("names", "unchecked"),
    [
        (["index"], ["what safesets use, without an index"]),
        (["catalog"], ["jobs and safesets, without a catalog"]),
        (["index", "catalog"], ["what safesets use, without an index", "jobs and safesets, without a catalog"]),
    ],
)
def test_without_an_image_it_says_what_was_not_checked(
    site: Site, checked: Check, names: list[str], unchecked: list[str]
) -> None:
    for name in names:
        shutil.rmtree(site.config.directory / name)
    done = checked(as_json=True)
    assert (done[0], summary(done)["not_checked"]) == (3, unchecked)


def test_warnings_alone_are_exit_3(site: Site, checked: Check) -> None:
    (path,) = (site.config.directory / "disk-2").rglob("*.container")
    with path.open("ab") as handle:
        handle.write(b"torn")
    code, lines = checked()
    assert (code, lines[-1]) == (3, "no damage found, with 1 warning; records were not read (--read-data)")


@pytest.mark.parametrize(
    ("kept", "code", "words"),
    [
        ("disk-2/containers/0000/000000000001.container.0123.unacknowledged", 3, "no damage found, with 1 warning"),
        ("disk-1/journal/0000000000000001.journal.forked.0123", 3, "no damage found, with 1 warning"),
        ("disk-1/journal/0000000000000001.journal.unread.1", 0, "no damage found; every record was read"),
    ],
    ids=["unacknowledged", "forked", "unread"],
)
def test_what_a_start_kept_beside_is_exit_3_only_where_an_operator_has_to_act(
    site: Site, checked: Check, kept: str, code: int, words: str
) -> None:
    path = site.config.directory / kept
    path.write_bytes(b"kept")
    done = checked(read_data=True)
    assert done[0] == code
    assert done[1][-1].startswith(words)
    (line,) = [line for line in done[1] if str(path) in line]
    assert ": 4 bytes " in line


def test_damage_goes_before_what_was_not_checked(site: Site, checked: Check) -> None:
    (site.config.directory / "disk-2").rename(site.config.directory / "away")
    (path,) = (site.config.directory / "disk-1").glob("journal/*")
    data = bytearray(path.read_bytes())
    data[130] ^= 1
    path.write_bytes(data)
    code, lines = checked()
    assert code == 9
    assert lines[-1].startswith("damage found in what was checked; not checked: what lies on ")
