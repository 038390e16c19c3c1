"""The two sides of a retrieval pair."""

from typing import Literal

Side = Literal["query", "passage"]

SIDES: tuple[Side, Side] = ("query", "passage")
