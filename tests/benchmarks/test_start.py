"""How long a program needs to its first byte, measured with a socket in the place of the vault."""

from pathlib import Path

import pytest

from benchmarks.scenarios import start
from benchmarks.tables import render
from tests.benchmarks.raw_files import raw_file


def test_each_start_has_a_figure_in_each_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "STARTS_IN_A_ROUND", 1)
    samples = start.run(tmp_path, 7, 2)
    assert [sample["case"] for sample in samples] == [*start.HELPS, start.FIRST_BYTE] * 2
    assert [sample["round"] for sample in samples] == [0] * 4 + [1] * 4
    assert all(sample["milliseconds"] > 0 for sample in samples)


def test_the_table_has_milliseconds() -> None:
    samples = [{"case": start.FIRST_BYTE, "round": number, "milliseconds": 150.0 + number} for number in range(3)]
    table = render(raw_file(*samples, scenario="start"))
    assert "| vault-agent backup, first byte | 151.00 (150.00-152.00) ms |" in table.splitlines()
