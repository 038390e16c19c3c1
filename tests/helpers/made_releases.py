"""Small releases for tests of the service, made with the real encoder and the real index."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from xlret.data.corpus import ParallelCorpus
from xlret.files import write_text
from xlret.model.encoder import Encoder, start_encoder
from xlret.model.reranker import start_reranker
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.release import make_release
from xlret.search.build import build_index
from xlret.search.passages import Passage
from xlret.search.settings import IndexSettings
from xlret.search.vectors.fingerprint import about_encoder, encoder_files
from xlret.search.vectors.store import write_store

SHARDS = 4
DIMENSIONS = (8, 16)


def make_releases(directory: Path, corpus: Path) -> Path:
    """A directory with the releases `one` and `two`, of other encoders over the same passages, and `bad`, which is damaged.

    `one` alone has a reranker, and vectors that may be cut to `DIMENSIONS`. Each passage says in its metadata which release
    it is from: an answer that mixes two releases shows.
    """
    root = directory / "releases"
    for seed, name in enumerate(("one", "two", "bad")):
        encoder, index = directory / name / "encoder", directory / name / "index"
        _encoder(corpus, seed).save(encoder)
        _index(encoder, corpus, name, directory / name / "store", index)
        reranker = _reranker(corpus, directory / name / "reranker") if name == "one" else None
        make_release(root, name, encoder, index, reranker)
    for file in sorted((root / "bad" / "index").glob("shard-0002*")):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.unlink()  # a hard link: the index that it came from stays whole
        file.write_bytes(content)
    write_text(root / "current", "one\n")
    return root


def _encoder(corpus: Path, seed: int) -> Encoder:
    return start_encoder(_settings(seed, () if seed else DIMENSIONS), lambda: _texts(corpus), seed)


def _reranker(corpus: Path, directory: Path) -> Path:
    reranker = start_reranker(_settings(0), lambda: _texts(corpus), 0)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():  # scores that differ from pair to pair, without training
        for weight in reranker.parameters():
            weight.add_(0.15 * torch.randn(weight.shape, generator=random))
    reranker.save(directory)
    return directory


def _settings(seed: int, dimensions: tuple[int, ...] = ()) -> EncoderSettings:
    fresh = FreshEncoder(vocabulary=300, layers=1, hidden=32 + 16 * seed, heads=2, feed_forward=64)
    return EncoderSettings(fresh=fresh, max_query_tokens=32, max_passage_tokens=48, dimensions=dimensions)


def _texts(corpus: Path) -> list[str]:
    opened = ParallelCorpus.open(corpus)
    return [text for lang in opened.languages for text in opened.passages(lang, np.arange(opened.n_groups))]


def _index(encoder: Path, corpus: Path, name: str, store: Path, out: Path) -> None:
    passages = list(_passages(corpus, name))
    vectors_ND = Encoder.load(encoder).encode([one.text for one in passages], "passage")
    about = about_encoder(encoder, encoder, encoder_files(encoder), vectors_ND.shape[1])
    made = write_store(store, passages, vectors_ND, encoder=about)
    build_index(made, out, IndexSettings(shards=SHARDS, certificate_queries=20), say=lambda line: None)


def _passages(corpus: Path, name: str) -> Iterator[Passage]:
    opened = ParallelCorpus.open(corpus)
    for lang in opened.languages:
        for group, text in enumerate(opened.passages(lang, np.arange(opened.n_groups))):
            yield Passage(f"{group}:{lang}", lang, None, text, {"made": name, "group": group})
