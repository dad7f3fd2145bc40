"""The table of the session: every pair is either in it or an error."""

import pytest

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.states import TRANSITIONS, SessionInput, SessionState, SessionStateMachine


def machine_in(state: SessionState) -> SessionStateMachine:
    machine = SessionStateMachine()
    machine.state = state
    return machine


@pytest.mark.parametrize("state", SessionState)
@pytest.mark.parametrize("happened", SessionInput)
def test_what_is_not_in_the_table_is_refused_and_changes_nothing(state: SessionState, happened: SessionInput):
    machine = machine_in(state)
    if (state, happened) in TRANSITIONS:
        machine.check(happened)
        assert machine.state is state
        assert machine.advance(happened) is TRANSITIONS[state, happened]
    else:
        with pytest.raises(RemoteProtocolError):
            machine.advance(happened)
        assert machine.state is state


@pytest.mark.parametrize(
    ("state", "happened", "code"),
    [
        (SessionState.connected, SessionInput.request, ErrorCode.not_signed_in),
        (SessionState.connected, SessionInput.open_request, ErrorCode.not_signed_in),
        (SessionState.greeted, SessionInput.request, ErrorCode.not_signed_in),
        (SessionState.greeted, SessionInput.hello_identity, ErrorCode.conflict),
        (SessionState.signed_in, SessionInput.hello_open, ErrorCode.conflict),
        (SessionState.closing, SessionInput.request, ErrorCode.unavailable),
        (SessionState.closing, SessionInput.plain, ErrorCode.unavailable),
    ],
)
def test_a_refusal_says_why(state: SessionState, happened: SessionInput, code: ErrorCode):
    with pytest.raises(RemoteProtocolError) as caught:
        machine_in(state).check(happened)
    assert caught.value.code is code


def test_nothing_leads_back_from_closing():
    assert {new for (old, _), new in TRANSITIONS.items() if old is SessionState.closing} == {SessionState.closing}
