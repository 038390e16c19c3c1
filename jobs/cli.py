"""What all jobs share: their arguments, one-line errors with an exit status, and a Ray that is stopped again."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from xlret.errors import user_error_in


def recipe_parser(name: str, description: str, example: str) -> argparse.ArgumentParser:
    """A parser for `python -m jobs.NAME RECIPE --set key=value`, with an example at the end of its help."""
    parser = argparse.ArgumentParser(
        prog=f"python -m jobs.{name}",
        description=description,
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", nargs="?", type=Path, help="a YAML recipe, or the name of one that comes with xlret")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one setting, such as plan.alpha=0.3; may be given again",
    )
    return parser


def run_job(main: Callable[[Sequence[str] | None], int]) -> NoReturn:
    """Runs a job and exits: 0 when it went well, 2 after a one-line error for the user, 130 when interrupted.

    Errors that are nobody's input keep their traceback and exit with 1. A Ray that the job started is stopped.
    """
    status = 1
    try:
        status = main(None)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    except Exception as error:
        user_error = user_error_in(error)
        if user_error is None:
            raise
        print(f"error: {user_error}", file=sys.stderr)
        status = 2
    finally:
        _stop_ray()
    sys.exit(status)


def _stop_ray() -> None:
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        ray.shutdown()
