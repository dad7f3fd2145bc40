"""What is suspected by one thread while another one asks what is due, or says what was looked at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vaultd.store.fakes import VAULT
from vaultd.store import damage_looks
from vaultd.store.damage_looks import SUSPECTED_AGAIN_SECONDS, DamageLooks, Due
from vaultd.store.damage_notes import DamageNotes
from vaultd.store.index.index import Index

ONE, OTHER = b"1" * 16, b"2" * 16


class Beside(bytes):
    """An id or a stamp: whenever it is hashed or compared, another thread comes in between."""

    def happens(self) -> None:
        pass

    def __hash__(self) -> int:
        self.happens()
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        self.happens()
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other


class Hours:
    """In the place of the module `time`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def pass_one(self) -> None:
        self.seconds += SUSPECTED_AGAIN_SECONDS


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> Hours:
    hours = Hours()
    monkeypatch.setattr(damage_looks, "time", hours)
    return hours


@pytest.fixture
def looks(tmp_path: Path) -> Iterator[DamageLooks]:
    index = Index.open(tmp_path / "index", VAULT)
    looks = DamageLooks(index, DamageNotes(), lambda: False)
    looks.conclude(looks.due())
    yield looks
    index.close()


def test_what_is_suspected_beside_a_list_does_not_end_it(looks: DamageLooks, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(1000))
    looks.suspect(Beside(ONE))
    looks.suspect(OTHER)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Beside, "happens", lambda _: looks.suspect(next(numbers).to_bytes(16, "big")))
        due = looks.due()
    assert set(due.suspected) == {ONE, OTHER}
    assert next(numbers) > 0  # some did come in between


def test_what_is_suspected_beside_the_end_of_a_look_is_looked_for_again(
    looks: DamageLooks, hours: Hours, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks.suspect(ONE)
    (stamp,) = looks.due().suspected.values()
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Beside, "happens", lambda _: looks.suspect(ONE))
        looks.conclude(Due({}, {ONE: Beside(stamp)}, None))
    hours.pass_one()
    assert list(looks.due().suspected) == [ONE]


def test_what_is_suspected_before_the_end_of_a_look_is_looked_for_again(looks: DamageLooks, hours: Hours) -> None:
    looks.suspect(ONE)
    due = looks.due()
    looks.suspect(ONE)
    looks.conclude(due)
    hours.pass_one()
    assert list(looks.due().suspected) == [ONE]
