"""How long a sweep has run, over all its starts."""

import json
import time
from pathlib import Path

from xlret.files import write_json

_FILE = "seconds.json"


class Clock:
    """Counts on from what earlier starts left in a sweep's directory."""

    def __init__(self, out: Path) -> None:
        self._path, self._began = out / _FILE, time.monotonic()
        self._before = float(json.loads(self._path.read_text(encoding="utf-8"))) if self._path.exists() else 0.0

    @property
    def hours(self) -> float:
        """Of this start and those before it, as far as they were saved."""
        return (self._before + time.monotonic() - self._began) / 3600

    def save(self) -> None:
        """Keeps the hours for the next start; called after each configuration."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._path, round(self.hours * 3600, 1))
