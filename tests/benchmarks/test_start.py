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


def table_of(case: str, *milliseconds: float) -> list[str]:
    samples = [{"case": case, "round": number, "milliseconds": one} for number, one in enumerate(milliseconds)]
    return render(raw_file(*samples, scenario="start")).splitlines()


def test_the_table_has_milliseconds() -> None:
    assert "| vaultctl --help | 151.00 (150.00-152.00) ms |" in table_of("vaultctl --help", 150, 152, 151)


@pytest.mark.parametrize(("middle", "verdict"), [(200.0, "met"), (200.01, "missed")], ids=["met", "missed"])
def test_the_median_to_the_first_byte_is_judged(middle: float, verdict: str) -> None:
    figure = f"{middle:.2f} (150.00-300.00) ms, {verdict}"
    assert f"| vault-agent backup, first byte (at most 200 ms) | {figure} |" in table_of(
        start.FIRST_BYTE, 300, middle, 150
    )
