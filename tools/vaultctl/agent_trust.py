"""Which agent key a job's password may be sealed to: one that a person named, confirmed or pinned before."""

from dataclasses import dataclass
from pathlib import Path

from tools.client.agent_key import fingerprint_bytes
from tools.client.context import Context
from tools.client.failure import Failure
from tools.client.fingerprint import fingerprint_text, parse_fingerprint
from tools.client.record_format import IntegrityError


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What the command line says: the fingerprint that is expected, or that the first one seen is taken."""

    expected: str | None
    first_use: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentKeys:
    """Both public keys as the vault sent them; the fingerprint is computed, the vault's text is not believed."""

    computer: str
    tls_key: bytes
    sealing_key: bytes

    def fingerprint(self) -> bytes:
        try:
            return fingerprint_bytes(self.tls_key, self.sealing_key)
        except IntegrityError as error:
            raise Failure("damaged", f"the vault sent no usable agent key of {self.computer}: {error}") from None


def check_trust(trust: Trust) -> None:
    """What can be refused before anything is asked."""
    if trust.expected is not None and trust.first_use:
        raise Failure("usage", "--agent-key and --trust-agent-key exclude each other", "prefer --agent-key")
    if trust.expected is not None:
        _expected_bytes(trust.expected)


def trusted_fingerprint(keys: AgentKeys, trust: Trust, context_file: Path, pins: Context) -> bytes:
    """The fingerprint to seal to. Another key than the pinned one is an error, also where a person confirms it, unless
    the same person has made a code before that replaces this computer's agent.
    """
    found = keys.fingerprint()
    pinned = pins.agent_keys.get(keys.computer)
    has_changed = pinned is not None and _pinned_bytes(pinned, context_file) != found
    is_confirmed = trust.expected is not None or trust.first_use
    is_expected = pins.replaced_keys.get(keys.computer) == pinned
    if has_changed and is_expected and not is_confirmed:
        raise Failure(
            "conflict",
            f"a new agent took the place of {keys.computer}, the vault says that its key is {fingerprint_text(found)}",
            "compare with `vault-agent status` on the computer and give --agent-key FINGERPRINT, or --trust-agent-key",
        )
    if has_changed and not is_expected:
        raise Failure(
            "conflict",
            f"the agent key of {keys.computer} changed: pinned is {pinned}, the vault says {fingerprint_text(found)}",
            "if the computer was set up anew, compare with `vault-agent status` there and remove the old key from"
            f" {context_file}; otherwise somebody stands between you and the computer",
        )
    if trust.expected is not None and _expected_bytes(trust.expected) != found:
        raise Failure(
            "conflict",
            f"the vault has another agent key of {keys.computer} than --agent-key says; the password was not sent",
            "type the key of the agent that `vault-agent status` shows on the computer itself, not the one that it"
            " takes jobs from; if that is what you gave, somebody stands between you and the computer",
        )
    if pinned is None and not is_confirmed:
        raise Failure(
            "usage",
            f"the agent key of {keys.computer} is not confirmed yet; the vault says {fingerprint_text(found)}",
            "compare with `vault-agent status` on the computer and give --agent-key FINGERPRINT, or --trust-agent-key",
        )
    return found


def _expected_bytes(text: str) -> bytes:
    try:
        return parse_fingerprint(text)
    except ValueError as error:
        raise Failure("usage", f"--agent-key: {error}", "copy it from `vault-agent status`") from None


def _pinned_bytes(text: str, context_file: Path) -> bytes:
    try:
        return parse_fingerprint(text)
    except ValueError as error:
        raise Failure("usage", f"{context_file} has a pinned agent key that is none: {error}", "correct it") from None
