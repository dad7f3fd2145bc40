"""The costs of single steps: every step is measured in every round."""

from pathlib import Path

import pytest

from benchmarks.scenarios import micro


def test_each_step_has_a_figure_in_each_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in {"MESSAGES": 3, "FRAMES": 2, "SMALL_RECORDS": 2_000, "LARGE_RECORDS": 3, "ASKED_IDS": 8}.items():
        monkeypatch.setattr(micro, name, count)
    samples = micro.run(tmp_path, 7, 2)
    cases = {sample["case"].partition(":")[0] for sample in samples}
    assert cases == {"codec", "framing", "HTTP/2 without TLS", "container", "container and index", "index", "manifest"}
    assert len(samples) == 14
    assert [sample["round"] for sample in samples] == [0] * 7 + [1] * 7
    assert all(sample.get("microseconds_each", 0) + sample.get("nanoseconds_per_byte", 0) > 0 for sample in samples)
