"""Files that a start kept beside containers and journal are told by the check, each once, with what to do."""

import pytest

from tests.vaultd.store.fakes import create, make_settings, records
from vaultd.store.check.check import check_store
from vaultd.store.disk_door import SystemDoor

CONTAINER = "containers/0000/000000000001.container"
SEGMENT = "journal/0000000000000001.journal"


@pytest.fixture
def settings(tmp_path):
    made = make_settings(tmp_path, disks=2)
    store = create(made)
    store.append(0, records(1, 2))
    store.commit()
    store.close()
    return made


@pytest.mark.parametrize(
    ("name", "severity", "words"),
    [
        (f"disk0/{CONTAINER}.0123.unacknowledged", "warning", "until then every start keeps what it would cut"),
        (f"disk1/{CONTAINER}.1000.0123.unacknowledged", "warning", "no safeset needs them"),
        (f"disk0/{CONTAINER}.unacknowledged.tmp", "warning", "move the file away"),
        (f"disk1/{SEGMENT}.60.0123.unacknowledged", "warning", "bring the newest journal back first"),
        (f"disk0/{SEGMENT}.forked.0123", "warning", "of another history"),
        (f"disk1/{SEGMENT}.unread.1", "note", "nothing depends on them"),
    ],
    ids=["container", "tail", "begun", "entries", "forked", "unread"],
)
def test_each_is_named_with_its_bytes_and_what_to_do(settings, tmp_path, name, severity, words):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(777))
    report = check_store(settings, SystemDoor(), read_data=True)
    (found,) = report.findings
    assert (found.severity.value, found.place) == (severity, str(path))
    assert found.sentence.startswith("777 bytes ")
    assert words in found.sentence
    assert not report.is_damaged
