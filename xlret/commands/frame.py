"""What all commands share: their form, their errors in one line, and their exit status.

Cyclopts makes a command of a function: its parameters are the flags, their types say what is allowed, and their help is the
function's docstring or, where a parameter is a settings class, the docstrings of the class's fields. So nothing is declared
twice. What takes long to import (torch, Ray, FAISS) a command imports when it runs, not when its help is shown.
"""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Annotated, Any, NoReturn

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, Token

from xlret.errors import TerminatedError, UserError, user_error_in

TERMINATED = 128 + signal.SIGTERM
"""The exit status of a command that SIGTERM ended, as shells have it."""
Flat = Parameter(name="*")
"""On a parameter that is a settings class: each of its fields is a flag of the command."""

Overrides = Annotated[tuple[str, ...], Parameter(name="--set", consume_multiple=False)]
"""Overrides of a recipe, `key.subkey=value`; the flag may be given again."""


def _codes(_: Any, tokens: Sequence[Token]) -> tuple[str, ...] | None:
    from xlret.text.languages import distinct_languages

    return distinct_languages(token.value for token in tokens)


Languages = Annotated[tuple[str, ...], Parameter(converter=_codes)]
"""Language codes, each once: `de ar`, `de,ar`, or the flag given again."""


def new_app(name: str, description: str, epilogue: str = "") -> App:
    """A command, or a group of commands.

    Args:
        name: how it is called, such as `train`.
        description: one sentence, for lists of commands and the top of its help.
        epilogue: examples and explanations at the end of its help.
    """
    return App(
        name=name,
        help=description,
        help_epilogue=epilogue,
        help_format="plaintext",
        version_flags=[],
        default_parameter=Parameter(negative=(), consume_multiple=True, show_default=_shown),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )


def _shown(default: Any) -> str | None:
    return None if default in (False, (), None) else str(default)


def call(app: App, argv: Sequence[str]) -> int:
    """Runs the command that `argv` names and returns its exit status.

    Raises:
        UserError: arguments or input cannot be used.
    """
    try:
        status = app(argv, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise UserError(_sentence(error)) from error
    return status if isinstance(status, int) else 0


def run(main: Callable[[], int]) -> NoReturn:
    """Calls `main` and exits: 0 when it went well, 2 after a one-line error for the user, 130 when interrupted, 143 when
    terminated (SIGTERM, as `ray job stop` sends it).

    Errors that are nobody's input keep their traceback and exit with 1. A Ray that was started is stopped.
    """
    status, terminated = 1, threading.Event()

    def terminate(number: int, frame: FrameType | None) -> None:
        """Makes of SIGTERM an exception, so that what is open is closed and a Ray that was started is stopped."""
        terminated.set()
        sys.exit(TERMINATED)

    signal.signal(signal.SIGTERM, terminate)
    try:
        status = main()
    except TerminatedError:
        print("terminated", file=sys.stderr)
        status = TERMINATED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    except SystemExit:  # of whatever status: out of a call of Ray it comes as 1
        if not terminated.is_set():
            raise
        print("terminated", file=sys.stderr)
        status = TERMINATED
    except Exception as error:
        user_error = user_error_in(error)
        if user_error is None:
            raise
        print(f"error: {user_error}", file=sys.stderr)
        status = 2
    finally:
        _stop_ray()
    sys.exit(status)


def tell(line: str) -> None:
    """Prints a line of progress at once, to a file too."""
    print(line, flush=True)


def _stop_ray() -> None:
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        ray.shutdown()


def _sentence(error: CycloptsError) -> str:
    """What was wrong and what would be right."""
    from pydantic import ValidationError

    from xlret.config import sentence_of

    name = "" if error.argument is None else error.argument.name
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        return "; ".join(sentence_of(detail, _flag(detail["loc"]), show=str) for detail in cause.errors()[:3])
    if isinstance(cause, ValueError):
        return f"{name}: {cause}" if name else str(cause)
    see = f"see {' '.join(('xlret', *(error.command_chain or ())))} --help"
    if isinstance(error, MissingArgumentError) and not str(error).endswith("?"):
        return f"{error.keyword or name} needs a value; {see}"
    return f"{str(error).rstrip('.')}; {see}"


def _flag(location: Sequence[str | int]) -> str:
    """What the setting at this position is called on the command line."""
    return f"--{'.'.join(str(part).replace('_', '-') for part in location)}" if location else ""
