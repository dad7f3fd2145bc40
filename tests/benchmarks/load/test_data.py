"""What the agents of a fleet back up."""

from __future__ import annotations

from pathlib import Path

from benchmarks.load.data import write_data


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def write(directory: Path, agent: int, round_number: int) -> dict[str, bytes]:
    write_data(directory, agent=agent, round_number=round_number, size_bytes=1000, shared_percent=30, seed=7)
    return contents(directory)


def test_a_part_is_the_same_at_all_agents_and_everything_is_new_in_each_round(tmp_path: Path) -> None:
    first, second = write(tmp_path / "0", 0, 0), write(tmp_path / "1", 1, 0)
    assert {name: len(content) for name, content in first.items()} == {"shared/000000": 300, "own/000000": 700}
    assert first["shared/000000"] == second["shared/000000"]
    assert first["own/000000"] != second["own/000000"]
    later = write(tmp_path / "0", 0, 1)
    assert set(later) == set(first)
    assert later["shared/000000"] != first["shared/000000"]
    assert write(tmp_path / "0", 0, 0) == first


def test_files_have_4_mib_at_most(tmp_path: Path) -> None:
    write_data(tmp_path / "0", agent=0, round_number=0, size_bytes=(4 << 20) + 5, shared_percent=0, seed=1)
    assert sorted(map(len, contents(tmp_path / "0").values())) == [5, 4 << 20]
