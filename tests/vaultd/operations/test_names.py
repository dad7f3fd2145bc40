"""What is refused as a name, and what the refusal says."""

import pytest

from vaultd.errors import BadRequest
from vaultd.operations.names import check_name


@pytest.mark.parametrize("name", ["", "n" * 65, " home", "home ", "bad/na me", "a\nb"])
def test_a_refused_name_is_told_by_its_field(name: str) -> None:
    with pytest.raises(BadRequest, match="^name of the job m") as caught:
        check_name(name, "name of the job")
    assert caught.value.hint.startswith("choose another name of the job: ")
