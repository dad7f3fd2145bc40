"""Writing what a manifest says, hostile ones too: nothing outside the target is touched, no half file has a name."""

import errno
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from blake3 import blake3

from tools.agent.missed import Missed
from tools.agent.restore import metadata
from tools.agent.restore.metadata import Rights
from tools.agent.restore.survey import Decision, Overwrite, Survey
from tools.agent.restore.write_tree import TreeWriter
from tools.agent.safeset.window import Above, Begin, End, Name, Part, Slot, Step, Window
from tools.agent.system import sync
from tools.client.failure import Failure
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
    writer = TreeWriter(target, overwrite, KEY, missed, Rights())
    writer.write(Window(steps=list(steps)))
    writer.close()
    writer.sync()
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


@pytest.mark.parametrize(("path", "first"), [(b"../outside/evil", b"a"), (b"b", b"../outside/victim"), (b"/b", b"a")])
def test_hostile_names_of_names_are_damage(target: Path, path: bytes, first: bytes) -> None:
    (outside_of(target) / "victim").write_bytes(CONTENT)
    os.utime(outside_of(target) / "victim", ns=(1, 1))
    missed = write(target, [*file_steps(b"a"), Name(entry(path), first)])
    assert missed.kept == [(path, "damaged")]
    assert os.listdir(target) == ["a"]
    assert os.listdir(outside_of(target)) == ["victim"]


def test_no_further_name_is_given_to_what_lies_behind_a_link(target: Path) -> None:
    victim = outside_of(target) / "victim"
    victim.write_bytes(CONTENT)
    os.utime(victim, ns=(1, 1))
    (target / "x").symlink_to(outside_of(target))
    (target / "y").symlink_to(victim)
    writer = TreeWriter(target, Overwrite.always, KEY, Missed(), Rights())
    writer.write(Window(steps=[Name(entry(b"a"), b"x/victim"), Name(entry(b"b"), b"y"), Name(entry(b"c"), b"gone")]))
    writer.close()
    assert writer.unlinked == [b"a", b"b", b"c"]
    assert victim.stat().st_nlink == 1
    assert sorted(os.listdir(target)) == ["x", "y"]


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


def test_a_file_has_no_name_before_it_is_whole(target: Path) -> None:
    """Whoever is killed meanwhile leaves nothing behind."""
    *begun, end = file_steps(b"d/file")
    writer = TreeWriter(target, Overwrite.never, KEY, Missed(), Rights())
    writer.write(Window(steps=begun))
    assert os.listdir(target / "d") == []
    writer.write(Window(steps=[end]))
    assert (target / "d/file").read_bytes() == CONTENT
    writer.close()


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
    survey = Survey(target, Overwrite.never, KEY, Rights())
    entries = [entry(b"file"), entry(b"file/below"), entry(b"x", Kind.DIRECTORY), entry(b"x/evil"), entry(b"z/new")]
    decisions = survey.decide(entries)
    survey.close()
    way = Decision.in_the_way
    assert decisions == [Decision.other_metadata, way, way, way, Decision.write]


def refuse(number: int) -> Callable[..., None]:
    def refused(*arguments: object, **settings: object) -> None:
        raise OSError(number, os.strerror(number))

    return refused


@pytest.fixture
def no_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    """As root on vfat, NFS with squashed root, or in a container."""
    monkeypatch.setattr(metadata, "_IS_ROOT", True)
    monkeypatch.setattr(os, "fchown", refuse(errno.EPERM))
    monkeypatch.setattr(os, "chown", refuse(errno.EPERM))


@pytest.mark.usefixtures("no_owners")
def test_content_is_kept_where_owners_cannot_be_set(target: Path) -> None:
    link = Begin(entry(b"link", Kind.SYMBOLIC_LINK, extras={1: b"/x"}, uid=4711))
    steps = [*directory_steps(b"d", mode=0o2750), *file_steps(b"d/file", mode=0o6755), link]
    missed = write(target, steps)
    code = "metadata not set"
    left_out = "set-user-id, set-group-id or capabilities left out (--privileged)"
    assert sorted(missed.kept) == [(b"d", code), (b"d/file", left_out), (b"link", code)]
    assert (target / "d/file").read_bytes() == CONTENT
    assert os.readlink(target / "link") == "/x"
    modes = [stat.S_IMODE((target / path).stat().st_mode) for path in ("d", "d/file")]
    assert modes == [0o750, 0o755], "set-id bits without the owner are another program's rights"
    assert (target / "d/file").stat().st_mtime_ns == 1


def test_content_is_kept_where_mode_and_time_cannot_be_set(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fchmod", refuse(errno.EPERM))
    monkeypatch.setattr(os, "utime", refuse(errno.EINVAL))
    assert write(target, file_steps(b"file")).codes == {"metadata not set": 1}
    assert (target / "file").read_bytes() == CONTENT


def test_an_owner_that_no_system_has_is_not_set(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "_IS_ROOT", True)
    assert write(target, file_steps(b"file", mode=0o755, uid=2**32 - 1)).codes == {"metadata not set": 1}
    assert (target / "file").read_bytes() == CONTENT
    assert stat.S_IMODE((target / "file").stat().st_mode) == 0o755


def test_directories_above_are_closed_or_as_they_were(target: Path) -> None:
    above = [
        Above(entry(b"home", Kind.DIRECTORY, mode=0o755, mtime_ns=7)),
        Above(entry(b"home/u", Kind.DIRECTORY, mode=0o711, mtime_ns=8)),
    ]
    assert write(target, [*above, *file_steps(b"home/u/lost/file")]).kept == []
    seen = {}
    for path in ("home", "home/u", "home/u/lost"):
        status = (target / path).stat()
        seen[path] = stat.S_IMODE(status.st_mode), status.st_mtime_ns
    assert seen["home"] == (0o755, 7)
    assert seen["home/u"] == (0o711, 8)
    assert seen["home/u/lost"][0] == 0o700


def test_directories_above_that_are_there_stay_as_they_are(target: Path) -> None:
    (target / "home").mkdir(mode=0o700)
    write(target, [Above(entry(b"home", Kind.DIRECTORY, mode=0o777)), *file_steps(b"home/file")], Overwrite.always)
    assert stat.S_IMODE((target / "home").stat().st_mode) == 0o700


@pytest.mark.parametrize("links", [True, False], ids=["links", "no-links"])
def test_what_appears_after_the_survey_is_not_replaced(
    target: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    for name in ("file", "link"):
        (target / name).write_bytes(b"newer than the survey")
    steps = [*file_steps(b"file"), *link_steps(b"link", b"/x"), *file_steps(b"other"), *link_steps(b"way", b"/y")]
    missed = write(target, steps, Overwrite.never)
    assert sorted(missed.kept) == [(b"file", "exists"), (b"link", "exists")]
    assert [(target / name).read_bytes() for name in ("file", "link")] == [b"newer than the survey"] * 2
    assert (target / "other").read_bytes() == CONTENT
    assert os.readlink(target / "way") == "/y"
    assert sorted(os.listdir(target)) == ["file", "link", "other", "way"]


def test_every_file_system_that_was_written_to_is_synced(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each directory plays a file system of its own."""
    for name in ("old", "seen", "seen/below"):
        (target / name).mkdir()
    synced = []
    monkeypatch.setattr(sync, "device_of", lambda descriptor: os.fstat(descriptor).st_ino)
    monkeypatch.setattr(sync, "sync_file_system", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    write(target, [*file_steps(b"old/file"), *link_steps(b"seen/below/link", b"/x"), *directory_steps(b"made")])
    assert sorted(synced) == sorted((target / name).stat().st_ino for name in ("old", "seen/below", "made"))


@pytest.mark.parametrize(("number", "exit_code"), [(errno.EIO, 1), (errno.ENOSPC, 7)])
def test_a_sync_that_fails_is_an_error_and_the_others_are_synced(
    target: Path, monkeypatch: pytest.MonkeyPatch, number: int, exit_code: int
) -> None:
    synced = []

    def fail(descriptor: int) -> None:
        synced.append(descriptor)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(sync, "device_of", lambda descriptor: os.fstat(descriptor).st_ino)
    monkeypatch.setattr(sync, "sync_file_system", fail)
    with pytest.raises(Failure, match="did not reach the disk") as caught:
        write(target, [*file_steps(b"a/file"), *file_steps(b"b/file")])
    assert (caught.value.exit_code, len(synced)) == (exit_code, 2)


def test_a_real_file_system_is_synced(target: Path) -> None:
    written = sync.WrittenFileSystems()
    descriptor = os.open(target, os.O_RDONLY)
    written.add(descriptor)
    written.add(descriptor)
    os.close(descriptor)
    written.sync()
    written.sync()


def test_bytes_of_a_file_that_is_being_written_count_already(target: Path) -> None:
    writer = TreeWriter(target, Overwrite.always, KEY, Missed(), Rights())
    begin, part, end = file_steps(b"file")
    writer.write(Window(steps=[begin, part]))
    assert (writer.files, writer.bytes_so_far) == (0, len(CONTENT))
    writer.write(Window(steps=[end]))
    assert (writer.files, writer.bytes_so_far) == (1, len(CONTENT))
    writer.close()
