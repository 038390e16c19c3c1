"""What the tests of bulk encoding encode, without torch, for processes that must start fast."""

from xlret.keys import generator
from xlret.search.passages import Passage
from xlret.search.settings import EncodeSettings

WORDS = [a + b + c for a in "bdfgk" for b in "aeiou" for c in "lmnrs"]
SETTINGS = EncodeSettings(passages_per_part=32, tokens_per_batch=256, encoders=2, threads=1)


def some(count: int) -> list[Passage]:
    """Passages of 1 to 30 words, every seventh with the text of an earlier one, which may be parts away."""
    found: list[Passage] = []
    for number in range(count):
        rng = generator("passages", number)
        text = " ".join(rng.choice(WORDS, rng.integers(1, 30)))
        title = str(rng.choice(WORDS)) if number % 3 == 0 else None
        if number % 7 == 6:
            title, text = found[int(rng.integers(number))][2:4]
        found.append(Passage(f"p{number}", "de" if number % 2 else "en", title, text, {"number": number}))
    return found
