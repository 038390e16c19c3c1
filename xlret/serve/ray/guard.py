"""Nothing outlives the program: a process of its own that waits for the program's death and clears up after it.

It holds the reading end of a pipe whose writing end the program alone has. However the program ends, SIGKILL included, the
kernel closes that end; then the guard ends what belongs to the service and removes its directory. Should the guard be killed
too, the next start does the same (`clear_leftovers`).
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from xlret.serve.ray.processes import TOKEN, end_members, is_alive, started

PREFIX = "xlret-s-"
"""Of the directories."""
_PATH_CHARS = 20
"""A temporary directory with a longer path is passed over for /tmp: a socket's path has 107 bytes, most of which Ray takes."""
GRACE_S = 1.5
"""How long processes whose program has died are given to end by themselves, as Ray's do."""
_OWNER = "owner.json"
_YOUNG_S = 60.0
"""A directory without an owner is left alone for so long: its owner may be about to write its name."""


class Guard:
    """A service's token, directory and guarding process. From its making on, whatever this process starts belongs to it.

    Attributes:
        directory: for the service's files, for this user only; it is removed at the end. Its path is short: there will
            be sockets in it.
    """

    def __init__(self) -> None:
        self.token = uuid.uuid4().hex
        self.directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_base()))
        owner = {"process": os.getpid(), "started": started(os.getpid()), "token": self.token}
        (self.directory / _OWNER).write_text(json.dumps(owner), encoding="utf-8")
        code = "import sys; sys.path.insert(0, sys.argv[1]); from xlret.serve.ray.guard import main; main()"
        home = str(Path(__file__).resolve().parents[3])
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, home, self.token, str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the program
        )
        os.environ[TOKEN] = self.token

    def end(self, grace_s: float = GRACE_S) -> list[int]:
        """Ends every process of the service and removes its directory; returns the processes that had to be killed."""
        killed = end_members(self.token, grace_s)
        os.environ.pop(TOKEN, None)
        shutil.rmtree(self.directory, ignore_errors=True)
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        return killed


def clear_leftovers() -> list[Path]:
    """Ends and removes what earlier services of this user left whose program is dead; returns their directories."""
    cleared = []
    for directory in sorted(_base().glob(f"{PREFIX}*")):
        try:
            if directory.stat().st_uid != os.getuid():
                continue
            owner = json.loads((directory / _OWNER).read_text(encoding="utf-8"))
            if is_alive(owner["process"]) and started(owner["process"]) == owner["started"]:
                continue
            token = owner["token"]
        except FileNotFoundError:
            if not directory.is_dir() or time.time() - directory.stat().st_mtime < _YOUNG_S:
                continue
            token = None
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no directory of ours
        if token is not None:
            end_members(token, 0.0)
        shutil.rmtree(directory, ignore_errors=True)
        cleared.append(directory)
    return cleared


def main() -> None:
    """The guarding process: waits until the program has ended, then clears up."""
    token, directory = sys.argv[2:4]
    sys.stdin.buffer.read()  # nothing is ever written: this returns when the program is gone
    end_members(token, GRACE_S)
    shutil.rmtree(directory, ignore_errors=True)


def _base() -> Path:
    usual = Path(tempfile.gettempdir())
    return usual if len(str(usual)) <= _PATH_CHARS else Path("/tmp")
