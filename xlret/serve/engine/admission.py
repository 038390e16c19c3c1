"""How much is in work at a time; what would be too much is refused at once rather than kept waiting."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xlret.serve.errors import ApiError
from xlret.serve.settings import LoadSettings


class Gate:
    """How much is in work; what would be too much is refused at once.

    Args:
        settings: the numbers of requests and of texts that may be in work.
    """

    def __init__(self, settings: LoadSettings) -> None:
        self.settings = settings
        self.requests = 0
        self.texts = 0
        self.reading = 0
        self.held_bytes = 0
        self.draining = False

    def check(self) -> None:
        """Whether one more request could be taken on.

        Raises:
            ApiError: 429 when too much is in work, 503 when the server is shutting down.
        """
        if self.draining:
            raise ApiError(503, "this server is shutting down; send the request again", retry_after=1)
        if self.requests >= self.settings.requests:
            raise ApiError(429, f"{self.requests} requests are in work, which is the most; try again after Retry-After")

    @contextmanager
    def enter(self, texts: int) -> Iterator[None]:
        """Counts a request and its texts as in work until the block ends.

        Raises:
            ApiError: as `check`, and 429 when there would be too many texts.
        """
        self.check()
        if self.texts and self.texts + texts > self.settings.texts:
            raise ApiError(429, f"{self.texts} texts are in work and {texts} more are too many; try again after Retry-After")
        self.requests += 1
        self.texts += texts
        try:
            yield
        finally:
            self.requests -= 1
            self.texts -= texts

    @contextmanager
    def hold(self) -> Iterator[Callable[[int], None]]:
        """Counts the bytes of a body until the block ends. What it yields is told their number as they come.

        Raises:
            ApiError: (what it yields) 429 when there are too many of all bodies together.
        """
        held = 0

        def more(size: int) -> None:
            nonlocal held
            held += size
            self.held_bytes += size
            if self.held_bytes > self.settings.held_bytes and self.held_bytes > held:
                raise ApiError(429, f"bodies of {self.held_bytes} bytes are held, which is too much; try again soon")

        try:
            yield more
        finally:
            self.held_bytes -= held

    @contextmanager
    def read(self) -> Iterator[None]:
        """Counts a request whose body is being read.

        Raises:
            ApiError: 429 when there are too many.
        """
        if self.reading >= self.settings.reading:
            raise ApiError(429, f"{self.reading} requests are being read, which is the most; try again after Retry-After")
        self.reading += 1
        try:
            yield
        finally:
            self.reading -= 1
