"""What reading a cache whose bytes are not as they were written may raise."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_damage() -> Iterator[None]:
    """Damage turns a column into another type, or a message of SQLite into no text: all of it is a `sqlite3.Error`."""
    try:
        yield
    except sqlite3.Error:
        raise
    except Exception as error:
        raise sqlite3.DatabaseError(f"{type(error).__name__} while it was read: {error}") from error
