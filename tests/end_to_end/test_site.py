"""The wait for a daemon's ready line has an end, and its error says what the daemon wrote."""

from __future__ import annotations

import pytest

from tests.end_to_end.conftest import MODULES, READY_SECONDS, NotReadyError, Site


@pytest.mark.timeout(30)
def test_a_vault_that_never_listens_is_given_up_with_its_output(
    stopped_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODULES, "vaultd", "tests.end_to_end.silent_vault")
    assert stopped_site.ready_seconds == READY_SECONDS == 60
    stopped_site.ready_seconds = 4
    with pytest.raises(NotReadyError, match=r"said nothing for 4 s(?s:.*)still looking for the disk"):
        stopped_site.start()


def test_a_vault_that_ends_at_once_is_told_with_its_own_output_only(stopped_site: Site) -> None:
    stopped_site.log_file.write_text("of an earlier start\n")
    stopped_site.settings["VAULTD_GROUP_COMMIT_BYTES"] = "nonsense"
    with pytest.raises(NotReadyError, match="VAULTD_GROUP_COMMIT_BYTES") as refused:
        stopped_site.start()
    assert "of an earlier start" not in str(refused.value)
