"""How much is in work at a time; what would be too much is refused at once rather than kept waiting."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xlret.serve.errors import ApiError
from xlret.serve.settings import LoadSettings

_WAIT_SHARE = 0.5
"""Of the time for an answer, that a question may have to wait for the encoder; the rest is for encoding it and what follows.
Whoever would wait longer is told at once, and the encoder does not work for answers that come too late."""


class Gate:
    """How much is in work, in all and by client; what would be too much is refused at once.

    A client is told by its `source`, the address that it comes from; the empty one stands for nobody in particular, whom only
    the limits of all together hold.

    Args:
        settings: the numbers of requests and of texts that may be in work, and one client's share.
        wait_s: how long a question that came now would wait for the encoder, in seconds.
    """

    def __init__(self, settings: LoadSettings, wait_s: Callable[[], float] = lambda: 0.0) -> None:
        self.settings = settings
        self.wait_s = wait_s
        self.requests = 0
        self.texts = 0
        self.reading = 0
        self.held_bytes = 0
        self.draining = False
        self._requests_of: Counter[str] = Counter()
        self._reading_of: Counter[str] = Counter()
        self._bytes_of: Counter[str] = Counter()

    def check(self, source: str = "", time_s: float | None = None) -> None:
        """Whether one more request could be taken on.

        Args:
            source: who it is from.
            time_s: how long its answer may take, of one that needs the encoder. None: this is not looked at.

        Raises:
            ApiError: 429 when too much is in work, or it would wait too long to be answered in its time; 503 when the server is
                shutting down.
        """
        if self.draining:
            raise ApiError(503, "this server is shutting down; send the request again", retry_after=1)
        if self.requests >= self.settings.requests:
            raise ApiError(429, f"{self.requests} requests are in work, which is the most; try again after Retry-After")
        self._check_share(source, self._requests_of[source] + 1, self.settings.requests - self.requests - 1, "requests in work")
        if time_s is not None and (wait_s := self.wait_s()) > _WAIT_SHARE * time_s:
            raise ApiError(
                429,
                f"questions wait for {wait_s:.1f} s, too long to be answered within {time_s:g} s; try again after Retry-After",
                retry_after=wait_s,
            )

    @contextmanager
    def enter(self, texts: int, source: str = "", time_s: float | None = None) -> Iterator[None]:
        """Counts a request and its texts as in work until the block ends.

        Raises:
            ApiError: as `check`, and 429 when there would be too many texts.
        """
        self.check(source, time_s)
        if self.texts and self.texts + texts > self.settings.texts:
            raise ApiError(429, f"{self.texts} texts are in work and {texts} more are too many; try again after Retry-After")
        self.requests += 1
        self.texts += texts
        try:
            with _counted(self._requests_of, source):
                yield
        finally:
            self.requests -= 1
            self.texts -= texts

    @contextmanager
    def hold(self, source: str = "") -> Iterator[Callable[[int], None]]:
        """Counts the bytes of a body until the block ends. What it yields is told their number as they come.

        Raises:
            ApiError: (what it yields) 429 when there are too many of all bodies together, or of one client's.
        """
        held = 0

        def more(size: int) -> None:
            nonlocal held
            held += size
            self.held_bytes += size
            self._bytes_of[source] += size
            if self.held_bytes > self.settings.held_bytes and self.held_bytes > held:
                raise ApiError(429, f"bodies of {self.held_bytes} bytes are held, which is too much; try again soon")
            if self._bytes_of[source] > held:  # a single body always passes
                self._check_share(source, self._bytes_of[source], self.settings.held_bytes - self.held_bytes, "bytes of bodies")

        try:
            yield more
        finally:
            self.held_bytes -= held
            _take(self._bytes_of, source, held)

    @contextmanager
    def read(self, source: str = "") -> Iterator[None]:
        """Counts a request whose body is being read.

        Raises:
            ApiError: 429 when there are too many, or too many of one client's.
        """
        if self.reading >= self.settings.reading:
            raise ApiError(429, f"{self.reading} requests are being read, which is the most; try again after Retry-After")
        self._check_share(source, self._reading_of[source] + 1, self.settings.reading - self.reading - 1, "requests being read")
        self.reading += 1
        try:
            with _counted(self._reading_of, source):
                yield
        finally:
            self.reading -= 1

    def _check_share(self, source: str, own: int, free: int, name: str) -> None:
        if source and own > math.ceil(self.settings.source_share * (own + max(0, free))):
            raise ApiError(
                429, f"{own} {name} are from your address, and the rest is left to others; try again after Retry-After"
            )


@contextmanager
def _counted(counts: Counter[str], source: str) -> Iterator[None]:
    counts[source] += 1
    try:
        yield
    finally:
        _take(counts, source, 1)


def _take(counts: Counter[str], source: str, count: int) -> None:
    counts[source] -= count
    if counts[source] <= 0:
        del counts[source]  # addresses that have gone take no memory
