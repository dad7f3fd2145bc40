"""The daemon as a process: ready, one instance, orderly end, sudden end."""

import json
import signal

import pytest

from tests.end_to_end.conftest import Site, run_program


@pytest.fixture
def starts_anew() -> bool:
    return True


def test_an_orderly_stop_exits_0_and_keeps_everything(site: Site) -> None:
    site.create_account("A")
    assert site.stop() == 0
    checked = site.check()
    assert (checked.exit_code, checked.last["findings"]) == (0, [])
    assert checked.last["counts"]["checkpoints"] >= 1
    site.start()
    assert [account["name"] for account in site.run_operator("account", "list").last] == ["A"]


def test_what_was_answered_survives_a_sudden_end(site: Site) -> None:
    site.create_account("A")
    assert site.kill() == -signal.SIGKILL
    site.start()
    assert [account["name"] for account in site.run_operator("account", "list").last] == ["A"]


def test_ctrl_c_is_an_orderly_stop_too(site: Site) -> None:
    assert site.daemon is not None
    site.daemon.send_signal(signal.SIGINT)
    assert site.daemon.wait(60) == 0


def test_a_second_instance_is_refused(site: Site) -> None:
    second = run_program("vaultd", "serve", site.vault)
    assert (second.exit_code, second.last["code"]) == (6, "conflict")
    assert "is in use by another vaultd" in second.last["message"]
    assert site.check().exit_code == 6
    assert site.run_operator("status").exit_code == 0


def test_a_port_that_is_taken_is_named(site: Site, stopped_site: Site) -> None:
    other = stopped_site.directory / "other"
    made = run_program("vaultd", "init", other, "--listen", site.url.removeprefix("https://"))
    assert made.exit_code == 0
    refused = run_program("vaultd", "serve", other)
    assert refused.exit_code == 6
    assert site.url.removeprefix("https://") in refused.last["message"]


def test_the_log_has_a_line_for_each_request_and_no_token(site: Site) -> None:
    site.create_account("A")
    site.stop()
    requests = [line for line in site.log_lines() if line["event"] == "request"]
    assert [(line["method"], line["code"]) for line in requests] == [("hello", "ok"), ("account.create", "ok")]
    assert not any("dropped" in line for line in site.log_lines())
    for context in (site.operator, site.context("A")):
        assert json.loads(context.read_text())["token"] not in site.log_file.read_text()
