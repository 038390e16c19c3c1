"""The lines of the request log, from the ingresses to the standard error of `jobs.serve`.

What a replica writes to its own standard error ends in a file of Ray's session. Whoever runs the service reads the program's.
The lines come as datagrams of a socket in the service's directory: an ingress never waits for their reader, and a line that
does not fit in is lost here (not in the log's file).
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xlret.serve.record import RequestRecord, as_line

_LINE_BYTES = 64 * 2**10
_LOOK_S = 0.2


class LineSender:
    """An `Observer` that sends a line for each request.

    Args:
        path: of the reader's socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def __call__(self, record: RequestRecord) -> None:
        """Sends one line, or loses it."""
        with contextlib.suppress(OSError):
            self._socket.sendto(as_line(record).encode("ascii")[:_LINE_BYTES], self._path)


@contextmanager
def reading_lines(path: Path, write: Callable[[str], object]) -> Iterator[None]:
    """Hands every line that comes to `write`, in a thread, until the block ends; those that have come by then too.

    Args:
        path: of the socket to make.
        write: gets lines without their line breaks.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 2**20)
        receiver.bind(str(path))
        receiver.settimeout(_LOOK_S)
        ended = threading.Event()

        def read() -> None:
            while True:
                try:
                    write(receiver.recv(_LINE_BYTES).decode("ascii", "replace"))
                except TimeoutError:
                    if ended.is_set():
                        return

        thread = threading.Thread(target=read, name="request-log", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(10 * _LOOK_S)
