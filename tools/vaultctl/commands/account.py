"""`vaultctl account`: the customers of a vault."""

from functools import partial
from pathlib import Path

import click

from tools.client import calls
from tools.client.context import Context, check_new_context, create_context
from tools.client.documents import document_of
from tools.client.named_path import NamedPath
from tools.client.program import Group
from tools.client.tables import Column, fields_text, table_text
from tools.client.terminal_text import escape_text
from tools.client.units import count_text, size_text, time_text
from tools.vaultctl.identity import ask_vault, context_of, output_of
from tools.vaultctl.listing import computers_text

_COLUMNS = (
    Column("ACCOUNT"),
    Column("PACKAGES", right=True),
    Column("COMPUTERS", right=True),
    Column("JOBS", right=True),
    Column("SAFESETS", right=True),
    Column("PROTECTED", right=True),
    Column("CREATED (UTC)"),
)
_NO_COMPUTER = "It has no computer yet: its administrator invites them."


@click.group("account", cls=Group)
def command() -> None:
    """Accounts of the vault (operator)."""


@command.command("create")
@click.argument("name")
@click.option(
    "--admin-context",
    metavar="FILE",
    type=NamedPath(),
    help="Where the context of the account's first administrator goes [default: NAME.context].",
)
@click.pass_context
def create(ctx: click.Context, name: str, admin_context: Path | None) -> None:
    """Makes an account and the context file of its first administrator."""
    operator = context_of(ctx)
    path = admin_context or Path(f"{name}.context")
    check_new_context(path)
    made = ask_vault(ctx, partial(calls.create_account, name=name))
    administrator = Context(
        url=operator.url,
        ca=operator.ca,
        role="administrator",
        account=made.name,
        account_id=made.account_id.hex(),
        token=made.token.hex(),
    )
    create_context(path, administrator)
    output_of(ctx).show(
        {"account": made.name, "context": str(path)},
        lambda: (
            f"Account {escape_text(made.name)} is created.\n"
            f"Its administrator's context is {path}: hand it over like a password."
        ),
    )


@command.command("list")
@click.pass_context
def list_accounts(ctx: click.Context) -> None:
    """Lists all accounts."""
    accounts = ask_vault(ctx, calls.list_accounts).accounts
    rows = (
        (
            account.name,
            count_text(account.packages),
            count_text(account.computers),
            count_text(account.jobs),
            count_text(account.safesets),
            size_text(account.protected_bytes),
            time_text(account.created_ns),
        )
        for account in accounts
    )
    output_of(ctx).show(
        [document_of(account) for account in accounts],
        lambda: table_text(_COLUMNS, rows, "There is no account yet: `vaultctl account create NAME` makes one."),
    )


@command.command("show")
@click.argument("name")
@click.pass_context
def show(ctx: click.Context, name: str) -> None:
    """Shows one account and its computers."""
    answer = ask_vault(ctx, partial(calls.show_account, name=name))
    account = answer.account
    fields = [
        ("account", account.name),
        ("created (UTC)", time_text(account.created_ns)),
        ("packages", count_text(account.packages)),
        ("jobs", count_text(account.jobs)),
        ("safesets", count_text(account.safesets)),
        ("protected", size_text(account.protected_bytes)),
    ]
    output_of(ctx).show(
        {**document_of(account), "computers": [document_of(computer) for computer in answer.computers]},
        lambda: f"{fields_text(fields)}\n\n{computers_text(answer.computers, _NO_COMPUTER)}",
    )
