"""Writing what a manifest says, hostile ones too: nothing outside the target is touched, no half file has a name."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import pytest
from blake3 import blake3

from tools.agent.missed import Missed
from tools.agent.survey import Decision, Overwrite, Survey
from tools.agent.window import Begin, End, Part, Slot, Step, Window
from tools.agent.write_tree import TreeWriter
from tools.client.manifest import Entry, Kind
from tools.client.record_format import IntegrityError

KEY = b"k" * 32
CONTENT = b"planted"


def entry(path: bytes, kind: int = Kind.FILE, content: bytes = CONTENT, **changes: object) -> Entry:
    is_file = kind == Kind.FILE
    fields = {
        "mode": 0o644, "uid": os.geteuid(), "gid": os.getegid(), "user": None, "group": None, "mtime_ns": 1,
        "size": len(content) if is_file else 0, "hash": blake3(content, key=KEY).digest() if is_file else None,
    } | changes  # fmt: skip
    return Entry(path=path, kind=kind, **fields)  # type: ignore[arg-type]


def file_steps(path: bytes, content: bytes = CONTENT, **changes: object) -> list[Step]:
    slot = Slot(len(content))
    slot.content = content
    return [Begin(entry(path, content=content, **changes)), Part(slot, 0, len(content)), End()]


def link_steps(path: bytes, target: bytes) -> list[Step]:
    return [Begin(entry(path, Kind.SYMBOLIC_LINK, extras={1: target}))]


def directory_steps(path: bytes, **changes: object) -> list[Step]:
    return [Begin(entry(path, Kind.DIRECTORY, **changes))]


def write(target: Path, steps: Iterable[Step], overwrite: Overwrite = Overwrite.always) -> Missed:
    missed = Missed()
    writer = TreeWriter(target, overwrite, KEY, missed)
    writer.write(Window(steps=list(steps)))
    writer.close()
    return missed


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    (tmp_path / "outside").mkdir()
    return path


def outside_of(target: Path) -> Path:
    return target.parent / "outside"


def test_a_link_of_the_manifest_is_not_followed(target: Path) -> None:
    steps = [*link_steps(b"x", bytes(outside_of(target))), *file_steps(b"x/evil"), *file_steps(b"y")]
    missed = write(target, steps)
    assert missed.kept == [(b"x/evil", "in the way")]
    assert os.listdir(outside_of(target)) == []
    assert (target / "y").read_bytes() == CONTENT


def test_a_link_that_is_there_is_not_followed(target: Path) -> None:
    (target / "x").symlink_to(outside_of(target))
    missed = write(target, [*directory_steps(b"x", mode=0o777), *file_steps(b"x/evil"), *directory_steps(b"x/deep")])
    assert {code for _, code in missed.kept} == {"in the way"}
    assert os.listdir(outside_of(target)) == []
    assert stat.S_IMODE(outside_of(target).stat().st_mode) != 0o777


@pytest.mark.parametrize(
    "path", [b"../outside/evil", b"a/../../outside/evil", b"/evil", b"a//b", b"a/./b", b"..", b".", b"a\0b", b"a/"]
)
def test_hostile_names_are_damage(target: Path, path: bytes) -> None:
    for kind in (Kind.FILE, Kind.DIRECTORY, Kind.SYMBOLIC_LINK):
        steps = {
            Kind.FILE: file_steps(path), Kind.DIRECTORY: directory_steps(path),
            Kind.SYMBOLIC_LINK: link_steps(path, b"/etc/passwd"),
        }[kind]  # fmt: skip
        assert write(target, steps).kept == [(path, "damaged")]
    assert os.listdir(outside_of(target)) == []
    assert os.listdir(target) == []


def test_a_file_over_a_link_replaces_the_link_only(target: Path) -> None:
    victim = outside_of(target) / "victim"
    victim.write_bytes(b"precious")
    (target / "x").symlink_to(victim)
    assert write(target, file_steps(b"x")).kept == []
    assert victim.read_bytes() == b"precious"
    assert not (target / "x").is_symlink()


def test_a_file_with_another_content_gets_no_name(target: Path) -> None:
    slot = Slot(9)
    slot.content = b"different"
    short = [Begin(entry(b"short")), Part(slot, 0, 3), End()]
    wrong = [Begin(entry(b"wrong")), Part(slot, 0, len(CONTENT)), End()]
    beyond = [Begin(entry(b"beyond")), Part(slot, 5, len(CONTENT)), End()]
    assert write(target, [*short, *wrong, *beyond]).codes == {"damaged": 3}
    assert os.listdir(target) == []


def test_a_damaged_chunk_leaves_no_part_of_a_file(target: Path) -> None:
    good, bad = Slot(7), Slot(7)
    good.content, bad.content = CONTENT, IntegrityError("damaged")
    steps = [Begin(entry(b"file", content=CONTENT * 2)), Part(good, 0, 7), Part(bad, 0, 7), End(), *file_steps(b"next")]
    assert write(target, steps).kept == [(b"file", "damaged")]
    assert os.listdir(target) == ["next"]


def test_a_restore_that_is_cut_off_leaves_no_half_file(target: Path) -> None:
    slot = Slot(7)
    slot.content = CONTENT
    write(target, [*file_steps(b"whole"), Begin(entry(b"half", content=CONTENT * 2)), Part(slot, 0, 7)])
    assert os.listdir(target) == ["whole"]


def test_directories_get_mode_and_time_after_their_contents(target: Path) -> None:
    steps = [
        *directory_steps(b"d", mode=0o500, mtime_ns=123_456_789), *file_steps(b"d/file"),
        *directory_steps(b"d/e", mode=0o750, mtime_ns=-5), *file_steps(b"d/e/file"), *file_steps(b"f"),
    ]  # fmt: skip
    assert write(target, steps).kept == []
    for path, mode, mtime_ns in ((target / "d", 0o500, 123_456_789), (target / "d/e", 0o750, -5)):
        status = path.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (mode, mtime_ns)


def test_existing_directories_stay_as_they_are_without_overwrite(target: Path) -> None:
    (target / "d").mkdir(mode=0o711)
    write(target, [*directory_steps(b"d", mode=0o777), *file_steps(b"d/file")], Overwrite.never)
    assert stat.S_IMODE((target / "d").stat().st_mode) == 0o711


def test_the_survey_looks_through_no_link(target: Path) -> None:
    (target / "x").symlink_to(outside_of(target))
    (target / "file").write_bytes(CONTENT)
    survey = Survey(target, Overwrite.never, KEY)
    entries = [entry(b"file"), entry(b"file/below"), entry(b"x", Kind.DIRECTORY), entry(b"x/evil"), entry(b"z/new")]
    decisions = survey.decide(entries)
    survey.close()
    way = Decision.in_the_way
    assert decisions == [Decision.leave, way, way, way, Decision.write]
