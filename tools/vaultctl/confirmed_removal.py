"""The question before a removal, which nothing takes back. Scripts are not asked: they rely on that."""

import sys

import click


def confirm_removal(question: str, *, yes: bool) -> None:
    if not yes and sys.stdin.isatty():
        click.confirm(question, abort=True, err=True)
