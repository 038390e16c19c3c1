"""How fast texts are code-switched: xlret's switcher against the way of word-by-word scripts."""

import random
import re
import time
from collections.abc import Callable
from itertools import islice

import numpy as np
from rich.console import Console

from jobs.bench.setup import Bench
from xlret.config import SwitchSettings
from xlret.data.corpus import ParallelCorpus
from xlret.text.lexicon import Lexicon
from xlret.text.switch import Switcher

TEXTS = 4000
ROUNDS = 5

# What a tokeniser of the Penn Treebank's conventions does to a text, and what undoes it again.
_APART = [
    (re.compile(pattern), put)
    for pattern, put in (
        (r'^"', "`` "),
        (r'([ (\[{<])"', r"\1 `` "),
        (r'"', " '' "),
        (r"([^\w\s.'-])(?=\D|$)", r" \1 "),
        (r"\.\.\.", " ... "),
        (r"([.])(\s*)$", r" \1\2"),
        (r"([^'])' ", r"\1 ' "),
        (r"([\]\[(){}<>])", r" \1 "),
        (r"--", " -- "),
        (r"([^' ])('[sSmMdD]|')(?= )", r"\1 \2"),
        (r"([^' ])('ll|'re|'ve|n't)(?= )", r"\1 \2"),
        (r"\b(can)(not)\b", r" \1 \2 "),
        (r"\b(gon|wan)(na)\b", r" \1 \2 "),
    )
]
_TOGETHER = [
    (re.compile(pattern), put)
    for pattern, put in (
        (r" (n't|'ll|'re|'ve|'[sSmMdD]) ", r"\1 "),
        (r"\b(can) (not)\b", r"\1\2"),
        (r"\b(gon|wan) (na)\b", r"\1\2"),
        (r" -- ", "--"),
        (r"([(\[{<]) ", r"\1"),
        (r" ([)\]}>])", r"\1"),
        (r" ([^\w\s`'(\[{<-])", r"\1"),
        (r"(\S) ' ", r"\1' "),
        (r"`` ", '"'),
        (r" ''", '"'),
        (r"\s+", " "),
    )
]


def run(bench: Bench, console: Console) -> None:
    """Words/s of ML-CS on English text with five target languages, as a ratio to a word-by-word script's."""
    corpus = ParallelCorpus.open(bench.job.corpora[0], verify=False)
    pool = corpus.side("passage", "en")
    texts = corpus.passages("en", pool.take(np.arange(min(TEXTS, len(pool)))))
    lexicon = Lexicon.load(bench.job.switch.lexicons)
    languages = tuple(islice(lexicon.targets, 5))
    switcher = Switcher(lexicon, SwitchSettings(policy="ml", lexicons=bench.job.switch.lexicons, languages=languages))
    script = _script(lexicon, languages)
    words = sum(switcher.switch(text, "en", (0, row)).words for row, text in enumerate(texts))
    ours = _seconds(lambda row, text: switcher.switch(text, "en", (0, row)), texts)
    theirs = _seconds(lambda row, text: script(text), texts)
    console.print(
        f"ML-CS into {', '.join(languages)}: {words / ours:,.0f} words/s (wanted: 300,000), "
        f"{theirs / ours:.1f} times a word-by-word script with {words / theirs:,.0f} words/s (wanted: 10)"
    )


def _script(lexicon: Lexicon, languages: tuple[str, ...]) -> Callable[[str], str]:
    """Tokenise by regular expressions, look each token up in a dict, join by regular expressions."""
    table = lexicon.tables["en"]
    translations: dict[str, dict[str, list[str]]] = {lang: {} for lang in languages}
    for lang in languages:
        for word, text, _ in table.entries(lang):
            translations[lang].setdefault(word, []).append(text)
    rng = random.Random(0)

    def switch(text: str) -> str:
        for pattern, put in _APART:
            text = pattern.sub(put, text)
        tokens = []
        for token in text.split():
            if rng.random() < 0.5:
                found = translations[rng.choice(languages)].get(token.lower())
                tokens.append(rng.choice(found) if found else token)
            else:
                tokens.append(token)
        text = " ".join(tokens)
        for pattern, put in _TOGETHER:
            text = pattern.sub(put, text)
        return text.strip()

    return switch


def _seconds(switch: Callable[[int, str], object], texts: list[str]) -> float:
    """The best of a few rounds over all texts, in processor seconds: other processes disturb it least."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for row, text in enumerate(texts):
            switch(row, text)
        best = min(best, time.process_time() - began)
    return best
