"""A question that is to be answered with yes."""

import click

from tools.client.failure import Failure


def confirm(question: str, if_not: str) -> None:
    """Raises Failure with the sentence `if_not` where the answer is no: that is no interruption."""
    if not click.confirm(question, err=True):
        raise Failure("declined", if_not)
