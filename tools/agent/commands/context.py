"""What every command of the agent begins with: its output, its state directory, its identity, secrets for a restore."""

from pathlib import Path

import click

from tools.agent.state import StateDirectory, open_state
from tools.agent.unlock import Secret
from tools.client.failure import Failure
from tools.client.output import Output
from tools.client.passwords import PasswordSource, read_password
from tools.client.recovery_code import RecoveryCodeError, parse_recovery_code

_CODE_FILE_BYTES_MAX = 4096


def output_of(ctx: click.Context) -> Output:
    output: Output = ctx.find_root().obj
    return output


def state_path(ctx: click.Context) -> Path:
    path: Path | None = ctx.find_root().params["state"]
    if path is None:
        raise Failure("usage", "no state directory was given", "give --state DIR, or name it in $VAULT_AGENT_STATE")
    return path


def state_of(ctx: click.Context) -> StateDirectory:
    return open_state(state_path(ctx))


def sequence_of(text: str) -> int:
    """0 stands for the latest complete safeset."""
    if text == "latest":
        return 0
    if not text.isdecimal() or int(text) < 1:
        raise Failure("usage", f"--safeset is a number from 1 or `latest`, not {text!r}", "see `vault-agent safesets`")
    return int(text)


def read_secret(source: PasswordSource, recovery_code_file: str | None, job: str) -> Secret:
    if recovery_code_file is None:
        return read_password(source, f"job {job}")
    if source.file is not None or source.command is not None:
        raise Failure("usage", "a password and a recovery code exclude each other", "give one of them")
    try:
        text = Path(recovery_code_file).read_bytes()[:_CODE_FILE_BYTES_MAX].decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure("usage", f"{recovery_code_file} cannot be read as a recovery code: {error}", "") from None
    try:
        return parse_recovery_code(text)
    except RecoveryCodeError as error:
        raise Failure("wrong_password", str(error), "compare with what was shown when the job was created") from None
