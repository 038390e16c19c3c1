import os
import pickle
import signal
import time

import pytest

from xlret.commands.frame import run
from xlret.errors import DataError, TerminatedError, UserError, user_error_in


def exit_status(main: object) -> int:
    with pytest.raises(SystemExit) as stop:
        run(main)  # type: ignore[arg-type]
    return int(str(stop.value.code))


def test_a_user_error_is_one_line_on_stderr_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise UserError("alpha is 2;\n allowed is 0 to 1")

    assert exit_status(main) == 2
    assert capsys.readouterr().err == "error: alpha is 2; allowed is 0 to 1\n"


def test_other_errors_keep_their_traceback() -> None:
    def main() -> int:
        raise KeyError("bug")

    with pytest.raises(KeyError, match="bug"):
        run(main)


def test_success_and_interruption_have_their_statuses() -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    def told_to_end() -> int:
        raise TerminatedError

    def terminated() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
        return 0

    before = signal.getsignal(signal.SIGTERM)
    try:
        assert exit_status(lambda: 0) == 0
        assert exit_status(interrupted) == 130
        assert exit_status(terminated) == 143
        assert exit_status(told_to_end) == 143
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_user_error_is_found_however_deep_it_is_wrapped() -> None:
    class WrappedError(Exception):
        def __init__(self, cause: Exception) -> None:
            self.cause = cause

    class GroupError(Exception):
        def __init__(self, failures: dict[int, Exception]) -> None:
            self.worker_failures = failures

    inner = DataError("row 3")
    assert user_error_in(GroupError({0: ValueError(), 1: WrappedError(inner)})) is inner
    assert user_error_in(ValueError()) is None


def test_user_errors_survive_process_borders() -> None:
    again = pickle.loads(pickle.dumps(DataError("file:3: no text")))
    assert (type(again), str(again)) == (DataError, "file:3: no text")
