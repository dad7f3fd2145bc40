"""How patient an agent is with a vault that does not answer."""

from itertools import pairwise

import pytest

from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from tools.agent.vault.lost_connection import PAUSES_SECONDS, Patience, is_lost
from tools.client.failure import UNREACHABLE, Failure

LOST = ConnectionLost("the link was cut")
DRAINING = RemoteProtocolError(ErrorCode.unavailable, "the vault is going down", "")
REFUSED = RemoteProtocolError(ErrorCode.conflict, "no", "")


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (LOST, True),
        (DRAINING, True),
        (Failure(UNREACHABLE, "cannot be reached"), True),
        (ExceptionGroup("run", [LOST, ExceptionGroup("upload", [DRAINING])]), True),
        (ExceptionGroup("run", [LOST, REFUSED]), False),
        (REFUSED, False),
        (RemoteProtocolError(ErrorCode.not_signed_in, "removed", ""), False),
        (RemoteProtocolError(ErrorCode.no_space, "full", ""), False),
        (Failure("no_space", "full"), False),
        (OSError(5, "Input/output error"), False),
    ],
)
def test_only_a_vault_out_of_reach_is_tried_again(error: Exception, lost: bool) -> None:
    assert is_lost(error) is lost


def test_the_pauses_grow_and_then_there_is_one_error() -> None:
    patience = Patience()
    pauses = [patience.pause_seconds(LOST, 0, float(at)) for at in range(len(PAUSES_SECONDS))]
    for pause, planned in zip(pauses, PAUSES_SECONDS, strict=True):
        assert 0.75 * planned <= pause <= 1.25 * planned
    assert all(later >= earlier for earlier, later in pairwise(PAUSES_SECONDS))
    with pytest.raises(Failure) as caught:
        patience.pause_seconds(LOST, 0, 100.0)
    assert (caught.value.code, caught.value.exit_code) == (UNREACHABLE, 8)
    assert "the link was cut" in caught.value.message
    assert "run the backup again" in caught.value.hint


def test_it_lasts_as_long_as_something_arrives() -> None:
    patience = Patience([1.0, 2.0])
    for durable in range(50):
        assert patience.pause_seconds(LOST, durable + 1, 0.0) <= 1.25
    assert patience.losses == 50


def test_a_connection_that_held_for_long_ends_one_trouble() -> None:
    patience = Patience([1.0, 2.0])
    for hour in range(50):
        assert patience.pause_seconds(LOST, 0, 3600.0 * hour) <= 1.25


def test_many_agents_do_not_come_back_at_once() -> None:
    assert len({Patience().pause_seconds(LOST, 0, 0.0) for _ in range(20)}) > 10
