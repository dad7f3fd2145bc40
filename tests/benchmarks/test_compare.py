"""Two raw files side by side: what is slower, and what says nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare import main

OURS, PEER = "safeset", "restic"


def write(path: Path, walls: dict[tuple[str, str], list[float]], **more: Any) -> Path:
    samples = [
        {"case": case, "tool": tool, "round": number, "wall_seconds": wall}
        for (case, tool), found in walls.items()
        for number, wall in enumerate(found)
    ]
    result = {"scenario": "random", "machine": {"processor": "P", "cores": 2}, "samples": samples, **more}
    path.write_text(json.dumps(result), encoding="utf-8")
    return path


def compared(tmp_path: Path, old: dict[Any, list[float]], new: dict[Any, list[float]], *words: str) -> int:
    return main([str(write(tmp_path / "old.json", old)), str(write(tmp_path / "new.json", new)), *words])


@pytest.mark.parametrize(
    ("new", "code"),
    [([2.0, 2.19, 9.0], 0), ([2.0, 2.21, 2.3], 1), ([1.0, 1.0, 1.0], 0)],
)
def test_more_than_a_tenth_above_the_old_median_is_slower(tmp_path: Path, new: list[float], code: int) -> None:
    """The median of 2.0, 2.0 and 5.0 is 2.0; a tenth more is 2.2."""
    assert compared(tmp_path, {("first", OURS): [2.0, 5.0, 2.0]}, {("first", OURS): new}) == code


def test_one_slower_case_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = {("first", OURS): [2.0], ("again", OURS): [1.0]}
    assert compared(tmp_path, old, {("first", OURS): [1.0], ("again", OURS): [1.5]}) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] + line.split()[-1:] for line in lines[1:]] == [
        ["again", OURS, "slower"],
        ["first", OURS, "-"],
    ]


def test_what_only_a_peer_does_slower_is_none_of_ours(tmp_path: Path) -> None:
    old = {("first", OURS): [2.0], ("first", PEER): [4.0]}
    assert compared(tmp_path, old, {("first", OURS): [2.0], ("first", PEER): [8.0]}) == 0


def test_peers_that_are_slower_too_explain_and_excuse_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = {("first", OURS): [2.0], ("first", PEER): [4.0]}
    assert compared(tmp_path, old, {("first", OURS): [3.0], ("first", PEER): [6.0]}) == 1
    assert "the machine" in capsys.readouterr().out


def test_json_tells_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(tmp_path, {("first", OURS): [2.0]}, {("first", OURS): [3.0]}, "--json") == 1
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["case"], told["old"], told["new"], told["ratio"]) == ("first", 2.0, 3.0, 1.5)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"scenario": "image"}, "scenario"),
        ({"scale": "full"}, "scale"),
        ({"machine": {"processor": "other", "cores": 2}}, "processor"),
        ({"machine": {"processor": "P", "cores": 4}}, "cores"),
    ],
)
def test_files_of_something_else_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict[str, Any], told: str
) -> None:
    walls = {("first", OURS): [2.0]}
    files = [write(tmp_path / "old.json", walls), write(tmp_path / "new.json", walls, **more)]
    assert main(list(map(str, files))) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("changed", ["first", "again"])
def test_more_or_fewer_data_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: str) -> None:
    """The data of a scale may have been made fewer since, also those of a later case alone."""
    files = []
    for size_bytes in (100, 50):
        path = write(tmp_path / f"{size_bytes}.json", {("first", OURS): [2.0], ("again", OURS): [2.0]})
        result = json.loads(path.read_text(encoding="utf-8"))
        for sample in result["samples"]:
            sample["source_bytes"] = size_bytes if sample["case"] == changed else 100
        path.write_text(json.dumps(result), encoding="utf-8")
        files.append(str(path))
    assert main(files) == 2
    assert f"the size of the data of {changed} differs (100, 50)" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "{", "[]", '{"scenario": "random", "machine": {}}'])
def test_what_is_no_raw_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None) -> None:
    good, bad = write(tmp_path / "good.json", {("first", OURS): [2.0]}), tmp_path / "bad.json"
    if content is not None:
        bad.write_text(content, encoding="utf-8")
    assert main([str(good), str(bad)]) == 2
    assert str(bad) in capsys.readouterr().err


def test_a_case_of_ours_that_is_gone_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = {("first", OURS): [2.0], ("again", OURS): [2.0], ("again", PEER): [2.0]}
    assert compared(tmp_path, old, {("first", OURS): [2.0]}) == 2
    assert "lacks what the old one has: again safeset" in capsys.readouterr().err
    assert compared(tmp_path, {("first", OURS): [2.0]}, old) == 0


@pytest.mark.parametrize(("name", "new"), [("suite", "aes-256-gcm"), ("compression", "zstd 3")])
def test_other_settings_of_ours_are_not_compared(
    name: str, new: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for number, value in enumerate(("usual", new)):
        path = write(tmp_path / f"{number}.json", {("first", OURS): [2.0], ("first", PEER): [2.0]})
        result = json.loads(path.read_text(encoding="utf-8"))
        for sample in result["samples"]:
            sample[name] = value
        path.write_text(json.dumps(result), encoding="utf-8")
        files.append(str(path))
    assert main(files) == 2
    assert f"the {name} of safeset differs (usual, {new})" in capsys.readouterr().err


def test_files_without_a_case_of_ours_are_not_compared(tmp_path: Path) -> None:
    assert compared(tmp_path, {("first", PEER): [2.0]}, {("first", PEER): [2.0]}) == 2


def test_figures_per_byte_of_ours_alone_are_compared_too(tmp_path: Path) -> None:
    def file(name: str, nanoseconds: float) -> str:
        samples = [{"case": "cut", "round": 0, "nanoseconds_per_byte": nanoseconds}]
        return str(write(tmp_path / name, {}, samples=samples))

    assert main([file("old.json", 0.1), file("new.json", 0.109)]) == 0
    assert main([file("old.json", 0.1), file("new.json", 0.112)]) == 1
