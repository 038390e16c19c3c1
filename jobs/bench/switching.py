"""How fast texts are code-switched: xlret's switcher against the way of word-by-word scripts."""

import random
import time
from collections.abc import Callable
from itertools import islice

import numpy as np
from nltk.tokenize import TreebankWordDetokenizer, TreebankWordTokenizer
from rich.console import Console

from jobs.bench.setup import Bench
from xlret.data.corpus import ParallelCorpus
from xlret.lexicon.lexicon import Lexicon
from xlret.switch.settings import SwitchSettings
from xlret.switch.switcher import Switcher

TEXTS = 4000
ROUNDS = 5


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
        f"ML-CS into {', '.join(languages)}: {words / ours:,.0f} words/s (300,000 wanted), {theirs / ours:.1f} times (10) "
        f"the {words / theirs:,.0f} words/s of NLTK's Treebank tokeniser, a dict a language and NLTK's detokeniser"
    )


def _script(lexicon: Lexicon, languages: tuple[str, ...]) -> Callable[[str], str]:
    """The way of the scripts that came with the paper: Treebank tokens, a dict for each language, and detokenised again."""
    tokenise, join = TreebankWordTokenizer().tokenize, TreebankWordDetokenizer().detokenize
    table = lexicon.tables["en"]
    translations: dict[str, dict[str, list[str]]] = {lang: {} for lang in languages}
    for lang in languages:
        for word, text, _ in table.entries(lang):
            translations[lang].setdefault(word, []).append(text)
    rng = random.Random(0)

    def switched(token: str) -> str:
        candidates = translations[rng.choice(languages)].get(token.lower()) if rng.random() < 0.5 else None
        return rng.choice(candidates) if candidates else token

    return lambda text: join([switched(token) for token in tokenise(text)])


def _seconds(switch: Callable[[int, str], object], texts: list[str]) -> float:
    """The best of a few rounds over all texts, in processor seconds: other processes disturb it least."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for row, text in enumerate(texts):
            switch(row, text)
        best = min(best, time.process_time() - began)
    return best
