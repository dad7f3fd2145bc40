"""The scenario of millions of offered ids, with thousands, at a real vault. Nothing is timed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compared import offers
from benchmarks.compared.scale import SCALES
from benchmarks.data.offered_ids import KNOWN, UNKNOWN, ids_from, make_offer
from benchmarks.site import Site
from benchmarks.tables import render, render_tables

MIB = 1 << 20


def test_all_is_stored_and_offered_and_every_answer_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offers, "STEPS", (0.2, 1.0))
    outcome = offers.run(tmp_path, 5, 2, replace(SCALES["crumbs"], offered_ids=20_000))
    assert [(one["case"], one["round"], one["ids"], one["held"]) for one in outcome["samples"]] == [
        ("stored, 4,000 held", 0, 4_000, 4_000),
        ("offered, 4,000 held", 0, 4_000, 4_000),
        ("stored, 20,000 held", 0, 16_000, 20_000),
        ("offered, 20,000 held", 0, 20_000, 20_000),
        ("offered, 20,000 held", 1, 20_000, 20_000),
    ]
    for one in outcome["samples"]:
        assert one["vault_peak_resident_bytes"] > one["vault_peak_anonymous_bytes"] > MIB
        assert one["agent_peak_anonymous_bytes"] > MIB
        # 20,000 rows of 76 bytes lie in mapped pages.
        assert one["vault_mapped_bytes"] > (MIB if one["held"] == 20_000 else 0)
        assert min(one["wall_seconds"], one["agent_cpu_seconds"], one["harness_cpu_seconds"]) > 0
    assert outcome["samples"][-1]["stored_bytes"] > 20_000 * 148


def test_an_answer_that_is_wrong_is_no_sample(tmp_path: Path) -> None:
    """The vault was given half of what the harness takes for known."""
    (tmp_path / "nothing").mkdir()
    with Site(tmp_path / "site") as site:
        site.create_job(offers.JOB, tmp_path / "nothing")
        site.backup(offers.JOB)
        offers.sample(site, 5, ("store", 0, 1_000), 0, 1_000)
        offers.sample(site, 5, ("offer", 0, 1_000, 1_000), 0, 1_000)
        with pytest.raises(RuntimeError, match="answer to offer 0 is wrong"):
            offers.sample(site, 5, ("offer", 0, 4_000, 2_000), 0, 2_000)


@pytest.mark.parametrize(("number", "count", "held"), [(0, 8, 100), (3, 8, 100), (40, 8, 100), (0, 9, 3), (7, 64, 32)])
def test_half_of_an_offer_is_known(number: int, count: int, held: int) -> None:
    known, unknown = (set(ids_from(9, kind, 0, 2_000)) for kind in (KNOWN, UNKNOWN))
    ids, lacking = make_offer(9, number, count, held)
    assert lacking == [id_ in unknown for id_ in ids]
    assert [id_ in set(ids_from(9, KNOWN, 0, held)) for id_ in ids] == [not lacks for lacks in lacking]
    assert len(set(ids)) == count
    assert sum(lacking) == count - min(count // 2, held)
    assert not known & unknown


def test_offers_ask_for_other_ids_each() -> None:
    asked = [id_ for number in range(4) for id_ in make_offer(9, number, 8, 1_000)[0]]
    assert len(set(asked)) == 32


def sample(action: str, held: int, vault_mib: int, number: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "case": f"{action}, {held:,} held",
        "round": number,
        "ids": held,
        "held": held,
        "wall_seconds": held / 250_000,
        "agent_cpu_seconds": held / 4_000_000,
        "harness_cpu_seconds": 0.1,
        "vault_cpu_seconds": held / 500_000,
        "agent_peak_anonymous_bytes": 70 * MIB,
        "vault_peak_anonymous_bytes": vault_mib * MIB,
        "vault_peak_resident_bytes": 900 * MIB,
        "vault_mapped_bytes": 700 * MIB,
        "stored_bytes": 1,
        **more,
    }


def raw(*samples: dict[str, Any]) -> dict[str, Any]:
    about = {"commit": "c0ffee", "versions": {}, "machine": {"processor": "", "cores": 2}, "start": ""}
    return {"scenario": "offers", "scale": "full", "samples": list(samples), **about}


def test_a_row_says_what_an_id_costs() -> None:
    table = render(raw(sample("offered", 1_000_000, 100), sample("offered", 10_000_000, 145)))
    assert (
        "| offered, 1,000,000 held | 1,000,000 | 1 | 4.00 (4.00-4.00) | 250,000 | 4.00, 0.25, 2.00 | 70 / 100 | 900 "
        "| 700 |"
    ) in table
    assert "Slope of the vault's peaks: 5.0 MiB for each million chunks, from 95 MiB on. Scale: full." in table


@pytest.mark.parametrize(
    ("held", "vault_mib", "verdict"),
    [
        (10_000_000, 300, "300 MiB at 10,000,000 | met"),
        (10_000_000, 301, "301 MiB at 10,000,000 | missed"),
        (9_000_000, 300, "300 MiB at 9,000,000 | open, with fewer chunks"),
        (9_000_000, 301, "301 MiB at 9,000,000 | missed"),
    ],
    ids=["met", "missed", "too-few", "too-few-and-missed"],
)
def test_the_vaults_memory_is_judged_at_ten_million(held: int, vault_mib: int, verdict: str) -> None:
    """A peak counts whatever was done meanwhile."""
    table = render(raw(sample("stored", held, vault_mib), sample("offered", held // 10, 90)))
    assert f"| peak anonymous memory of the vault (at most 300 MiB at 10 million chunks) | {verdict} |" in table


def test_what_was_not_measured_says_so(tmp_path: Path) -> None:
    assert render_tables(tmp_path)["offers"] == "not measured yet\n"
