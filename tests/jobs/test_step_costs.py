"""What `python -m jobs.bench.steps` refuses."""

import pytest

from jobs.bench.steps import app
from xlret.commands.frame import call
from xlret.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "told"), [("other", "unknown part 'other'; allowed: forms, "), ("forms --steps 1", "allowed is 2 or more")]
)
def test_what_cannot_be_measured_is_refused(arguments: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        call(app, f"{arguments} --encoder x --corpora y".split())
