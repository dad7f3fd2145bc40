"""`vault-agent serve` holds the state's lock as long as it works."""

import json

import pytest
import trio

from tests.tools.agent.conftest import Site
from tools.agent.__main__ import main
from tools.agent.commands import serve
from tools.agent.state import lock_state
from tools.client.failure import Failure


def run(site: Site) -> int:
    code: int = main.run(["--state", str(site.state.path), "serve", "--json"])  # type: ignore[attr-defined]
    return code


@pytest.fixture(autouse=True)
def ran(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the lock was held, for each service that ran."""
    held: list[bool] = []

    class Service:
        def __init__(self, *_: object) -> None:
            pass

        async def run(self) -> None:
            await trio.lowlevel.checkpoint()
            try:
                with lock_state(site.state):
                    held.append(False)
            except Failure:
                held.append(True)

    monkeypatch.setattr(serve, "Service", Service)
    monkeypatch.setattr(serve, "lower_priority", lambda: None)
    return held


def test_two_services_on_one_state_are_refused(site: Site, ran: list[bool], capsys: pytest.CaptureFixture[str]) -> None:
    with lock_state(site.state):
        assert run(site) == 6
    assert json.loads(capsys.readouterr().out)["code"] == "conflict"
    assert ran == []


def test_nobody_else_writes_the_state_while_a_service_works(site: Site, ran: list[bool]) -> None:
    assert run(site) == 0
    assert ran == [True]


def test_a_wrong_setting_is_told_before_it_begins(site: Site, ran: list[bool]) -> None:
    (site.state.path / "agent.toml").write_text("threads = 3\n")
    assert (run(site), ran) == (2, [])
