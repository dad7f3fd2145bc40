"""The tables of what was compared: every tool has a row, whether it was there or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.tables import render, render_tables
from benchmarks.targets import TARGETS
from tests.benchmarks.raw_files import raw_file, sample


def test_a_row_says_all_that_was_measured() -> None:
    walls = (3.0, 1.0, 2.0)
    ours = [sample("safeset", number, wall, vault_cpu_seconds=0.5) for number, wall in enumerate(walls)]
    theirs = [sample("restic", number, 4.0) for number in range(3)]
    counted = sample("safeset", 3, 9.9, bytes_sent=3 << 20, round_trips=1234, agent_syncs=7, vault_syncs=8)
    table = render(raw_file(*ours, *theirs, counted=[counted], tools=["safeset", "restic"]))
    assert (
        "| first | safeset | aes-256-cbc; some | 3 | 2.00 (1.00-3.00) | 2.0 + 0.5 | 2.5 | 100 / 50 "
        "| 476.8 (476.8) | 3.0 | 1,234 | 7 / 8 | 2.00 (1.33-4.00) restic | 1.8 | met |"
    ) in table
    assert "| first | restic | theirs; some | 3 | 4.00 (4.00-4.00) | 4.0 + 0.0 | 4.0 | 100 / 50 " in table
    assert "Durability: safeset, restic: all is synced." in table
    assert "Scale: full, 954 MiB in the first case." in table


ALL = ["safeset", "restic", "borg"]


def test_a_peer_that_is_missing_is_named() -> None:
    table = render(raw_file(sample("safeset", 0, 1.0), sample("restic", 0, 2.0), tools=ALL, missing_peers=["borg"]))
    assert "| first | borg | missing | - |" in table
    assert "Missing on that machine, so without figures: borg." in table


def test_a_tool_without_samples_has_its_row_too() -> None:
    table = render(raw_file(sample("safeset", 0, 1.0), sample("restic", 0, 2.0), tools=ALL))
    assert "| first | borg | missing | - |" in table


def test_rows_are_as_wide_as_their_table() -> None:
    table = render(raw_file(sample("safeset", 0, 1.0), sample("restic", 0, 2.0)))
    first = table.split("\n\n")[0].splitlines()
    assert {line.count(" | ") for line in first if "---" not in line} == {14}


def test_what_was_not_measured_says_so(tmp_path: Path) -> None:
    tables = render_tables(tmp_path)
    assert tables["random"] == "not measured yet\n"
    assert tables["targets"].count("| not measured yet | - |") == len(TARGETS)


@pytest.mark.parametrize(("restic", "verdict"), [(2.0, "met"), (1.5, "missed")])
def test_each_target_has_its_row(tmp_path: Path, restic: float, verdict: str) -> None:
    result = raw_file(sample("safeset", 0, 1.0), sample("restic", 0, restic), sample("borg", 0, 3.0))
    (tmp_path / "random.json").write_text(json.dumps(result), encoding="utf-8")
    rows = render_tables(tmp_path)["targets"].splitlines()
    ratio = f"{restic:.2f} ({restic:.2f}-{restic:.2f}) restic"
    assert f"| random | first | aes-256-cbc | 1.8 | 2.5 | full | {ratio} | {verdict} |" in rows
    assert "| random | first | aes-256-gcm | 2.3 | 3.5 | - | not measured yet | - |" in rows
