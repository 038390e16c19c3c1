"""A tiny real release that understands three languages without training: words that mean the same share one embedding."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from xlret.keys import generator
from xlret.model.encoder import Encoder, start_encoder
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.release.make import make_release
from xlret.search.build import build_index
from xlret.search.passages import Passage
from xlret.search.settings import IndexSettings
from xlret.search.vectors.fingerprint import about_encoder, encoder_files
from xlret.search.vectors.store import write_store
from xlret.serve.engine.gateway import Gateway
from xlret.serve.http.access import Keys
from xlret.serve.local_server import LocalServer
from xlret.serve.settings import DeadlineSettings, ServeSettings

TOPICS = {"capital": ("geography", 2019), "honey": ("nature", 2021), "moon": ("space", 2022), "bread": ("food", 2023)}
TEXTS = {
    "capital": {
        "en": "Paris is the capital of France. The river flows through it.",
        "de": "Paris ist die Hauptstadt von Frankreich. Der Fluss strömt durch sie.",
        "ar": "باريس هي عاصمة فرنسا. النهر يجري فيها.",
    },
    "honey": {
        "en": "😀 In winter they eat it. Bees make honey from flowers.",
        "de": "😀 Im Winter essen sie ihn. Bienen machen Honig aus Blumen.",
        "ar": "😀 في الشتاء يأكل منه. النحل يصنع العسل من الأزهار.",
    },
    "moon": {
        "en": "The moon circles the earth in a month. Astronauts walked there.",
        "de": "Der Mond umkreist die Erde in einem Monat. Astronauten liefen dort.",
        "ar": "القمر يدور حول الأرض في شهر. رواد مشوا هناك.",
    },
    "bread": {
        "en": "Bread is baked with flour and water. Salt gives it taste.",
        "de": "Brot backt man mit Mehl und Wasser. Salz gibt ihm Geschmack.",
        "ar": "الخبز مع دقيق و ماء. الملح مذاق.",
    },
}
QUESTIONS = {"en": "What do bees make?", "de": "Was machen die Bienen?", "ar": "ماذا يصنع النحل؟"}
MEANINGS = (
    "Paris Paris باريس | capital Hauptstadt عاصمة | France Frankreich فرنسا | river Fluss النهر | "
    "flows strömt يجري | Bees Bienen النحل | make machen يصنع | honey Honig العسل | "
    "flowers Blumen الأزهار | winter Winter الشتاء | eat essen يأكل | moon Mond القمر | "
    "circles umkreist يدور | earth Erde الأرض | month Monat شهر | Astronauts Astronauten رواد | "
    "walked liefen مشوا | Bread Brot الخبز | flour Mehl دقيق | water Wasser ماء | "
    "Salt Salz الملح | taste Geschmack مذاق"
)
# The tests that use this are about what is answered, on machines that may be slow: generous deadlines.
SETTINGS = ServeSettings(examples=tuple(QUESTIONS.values()), deadline=DeadlineSettings(timeout_ms=20_000))
HOSTILE = '<img src="x" onerror="document.title=1"><script>document.title=2</script>'


def meanings() -> list[list[str]]:
    """Words of one meaning, one list each."""
    return [group.split() for group in MEANINGS.split("|")]


def passages() -> list[Passage]:
    """Each text in each language, its id `topic:language`, and one passage that tries to be HTML. Bread has no titles."""
    found = []
    for name, texts in TEXTS.items():
        topic, year = TOPICS[name]
        title = None if name == "bread" else name.title()
        about: dict[str, str | int] = {"topic": topic, "year": year}
        found += [Passage(f"{name}:{lang}", lang, title, text, about) for lang, text in texts.items()]
    return [*found, Passage(HOSTILE, "en", HOSTILE, f"salt {HOSTILE} taste", {"topic": HOSTILE, "year": 1999})]


def tied_encoder(directory: Path) -> Path:
    """Saves the encoder. A question's nearest passages are its answer in every language."""
    texts = [*(text for one in TEXTS.values() for text in one.values()), *QUESTIONS.values()]
    corpus = [*texts, *itertools.chain.from_iterable(meanings())] * 40
    settings = EncoderSettings(fresh=FreshEncoder(vocabulary=600, hidden=64, layers=1, heads=2, feed_forward=64))
    encoder = start_encoder(settings, lambda: corpus, seed=0)
    table = encoder.backbone.embeddings.word_embeddings.weight
    with torch.no_grad():
        table[5:] = table[5]  # words without a meaning here all look the same
        for number, words in enumerate(meanings()):
            vector = torch.from_numpy(generator("tied", number).normal(0, 0.02, table.shape[1]))
            for word in words:
                ids, lengths = encoder.tokeniser.ragged([word], "query")
                assert lengths[0] == 3, f"{word} is more than one piece"
                table[int(ids[1])] = vector
    encoder.save(directory)
    return directory


def tied_release(root: Path, name: str = "tied") -> Path:
    """Makes encoder, index with two shards, and release below `root`; returns the release."""
    directory = tied_encoder(root / "encoder")
    encoder, rows = Encoder.load(directory), passages()
    vectors = encoder.encode([one.full_text for one in rows], "passage")
    about = about_encoder(directory, directory, encoder_files(directory), encoder.dimension)
    store = write_store(root / "store", rows, vectors, encoder=about)
    build_index(store, root / "index", IndexSettings(shards=2, factory="Flat"), say=lambda line: None)
    return make_release(root / "releases", name, directory, root / "index")


@contextmanager
def serving(gateway: Gateway, release: Path, keys: Keys | None = None) -> Iterator[str]:
    """The address of a real server that has the release in service."""
    with LocalServer(gateway, release, keys=keys or Keys()) as server:
        yield f"{server.url}/"
