"""Deadlines of a connection, with a clock made of numbers."""

import pytest

from protocol.errors import ConnectionClosed, ConnectionLost
from protocol.liveness import Liveness


def test_a_server_waits_five_seconds_for_http2_whatever_trickles_in():
    liveness = Liveness(100.0, server=True)
    liveness.heard(104.9)
    assert liveness.deadline() == 105.0
    with pytest.raises(ConnectionLost, match="did not begin HTTP/2"):
        liveness.on_silence(105.0)


def test_a_server_waits_ten_seconds_for_the_first_request():
    liveness = Liveness(100.0, server=True)
    liveness.on_settings()
    liveness.heard(109.0)
    assert liveness.deadline() == 110.0
    with pytest.raises(ConnectionLost, match="no request"):
        liveness.on_silence(110.0)


def test_five_idle_minutes_end_a_connection_in_order():
    liveness = Liveness(0.0, server=True)
    liveness.on_settings()
    liveness.on_signed_in()
    liveness.on_requests(1, 1.0)
    liveness.on_requests(0, 50.0)
    liveness.heard(200.0)  # PINGs keep nothing alive
    assert liveness.deadline() == 350.0
    with pytest.raises(ConnectionClosed):
        liveness.on_silence(350.0)


@pytest.mark.parametrize("server", [True, False])
def test_a_silent_peer_is_pinged_once_and_then_given_up(server: bool):
    liveness = Liveness(0.0, server=server)
    liveness.on_settings()
    liveness.on_signed_in()
    liveness.on_requests(1, 10.0)
    assert liveness.deadline() == 70.0
    assert liveness.on_silence(70.0) is True
    assert liveness.deadline() == 130.0
    with pytest.raises(ConnectionLost, match="silent for 120 seconds"):
        liveness.on_silence(130.0)


def test_an_answer_to_the_ping_is_enough():
    liveness = Liveness(0.0, server=False)
    liveness.on_requests(1, 0.0)
    assert liveness.on_silence(60.0) is True
    liveness.heard(60.1)
    assert liveness.on_silence(120.1) is True


def test_an_early_call_is_no_silence():
    assert Liveness(0.0, server=True).on_silence(4.9) is False


def test_an_idle_client_leaves_the_end_to_the_vault():
    assert Liveness(0.0, server=False).deadline() == float("inf")


def test_a_connection_on_which_nobody_signs_in_ends_whatever_it_asks():
    liveness = Liveness(100.0, server=True)
    liveness.on_settings()
    liveness.on_requests(1, 101.0)
    liveness.heard(159.0)
    assert liveness.deadline() == 160.0
    with pytest.raises(ConnectionLost, match="nobody signed in"):
        liveness.on_silence(160.0)


def test_who_signed_in_may_take_longer():
    liveness = Liveness(100.0, server=True)
    liveness.on_settings()
    liveness.on_signed_in()
    liveness.on_requests(1, 101.0)
    liveness.heard(159.0)
    assert liveness.deadline() == 219.0
