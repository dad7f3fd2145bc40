"""Which version both sides speak."""

from protocol.version import choose_version


def test_the_highest_common_version_is_chosen():
    assert choose_version([1]) == 1
    assert choose_version([3, 1, 2]) == 2
    assert choose_version([3]) is None
    assert choose_version([]) is None
