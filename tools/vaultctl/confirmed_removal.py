"""The question before a removal, which nothing takes back. Scripts are not asked: they rely on that."""

import sys

from tools.vaultctl.confirmation import confirm


def confirm_removal(question: str, *, yes: bool) -> None:
    if not yes and sys.stdin.isatty():
        confirm(question, "nothing was removed")
