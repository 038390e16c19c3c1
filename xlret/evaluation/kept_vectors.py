"""Vectors of an evaluation on disk, by encoder and texts: a second one encodes nothing, and none needs all in memory.

Passages are encoded as an index's are (`xlret.search.vectors`): resumable, with Ray or without, into a store of which
`xlret index build --vectors` makes an index with the same ids.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors.numpy import load_file, save, save_file

from xlret.artifacts import digest_of_texts
from xlret.errors import UserError
from xlret.evaluation.sets import RetrievalSet
from xlret.files import flush, local
from xlret.model.debias.component import LanguageComponent
from xlret.model.encoder import Encoder
from xlret.search.passages import Passage
from xlret.search.settings import EncodeSettings
from xlret.search.vectors.encode import Print, encode_passages
from xlret.search.vectors.fingerprint import encoder_files
from xlret.search.vectors.store import VectorStore, open_part, vectors_of
from xlret.shapes import FloatMatrix, IntArray
from xlret.storage.url import as_url, is_url


@dataclass(frozen=True)
class StoredPassages:
    """The vectors of a pool in a store, mapped from disk."""

    store: VectorStore
    passage_langs: Sequence[str]
    component: LanguageComponent | None = None
    """What is taken out of all of them when they are read."""

    @property
    def count(self) -> int:
        """How many passages there are."""
        return self.store.count

    def blocks(self) -> Iterator[FloatMatrix]:
        """A part of the store after the other, [B, D]."""
        first = 0
        for part in self.store.parts():
            vectors_BD = vectors_of(part).astype(np.float32, copy=False)
            yield self._cleaned(vectors_BD, self.passage_langs[first : first + len(vectors_BD)])
            first += len(vectors_BD)

    def rows(self, rows: IntArray) -> FloatMatrix:
        """The vectors of some passages, in the order of `rows`."""
        ends = np.cumsum([part.rows for part in self.store.manifest.parts])
        part_of_row = np.searchsorted(ends, rows, side="right")
        vectors_ND = np.empty((len(rows), self.store.dimension), np.float32)
        for number in np.unique(part_of_row):
            entry, chosen = self.store.manifest.parts[number], part_of_row == number
            part = vectors_of(open_part(self.store.path / entry.file))
            vectors_ND[chosen] = part[rows[chosen] - (ends[number] - entry.rows)]
        return self._cleaned(vectors_ND, [self.passage_langs[row] for row in rows.tolist()])

    def matrix(self) -> FloatMatrix:
        """All of them, [P, D], in memory."""
        return np.concatenate(list(self.blocks()))

    def _cleaned(self, vectors_ND: FloatMatrix, langs: Sequence[str]) -> FloatMatrix:
        return vectors_ND if self.component is None else self.component.remove(vectors_ND, langs, "passage")


class KeptVectors:
    """A directory of vectors: `ENCODER/encoder`, and for each set `ENCODER/SET-TEXTS/{passages,queries.safetensors}`.

    `ENCODER` and `TEXTS` are the first digits of checksums: of all files that decide a vector (prompts and limits are among
    them) with the precision, and of all texts with their ids and languages. Vectors are kept as float32, so that every number
    is the one that it is without a directory.

    Args:
        directory: made if need be; several encoders and sets share it.
        encoder: with its prompts and limits. It is written there once.
        precision, tokens_per_batch: of encoding.
        encoders: workers of Ray that encode passages; 0: this process.
        show: where lines for the user go.
        progress: whether to draw bars.
    """

    def __init__(
        self,
        directory: Path,
        encoder: Encoder,
        *,
        precision: Literal["float32", "bfloat16"] = "float32",
        tokens_per_batch: int | None = None,
        encoders: int = 0,
        show: Print = lambda line: None,
        progress: bool = False,
    ) -> None:
        self._encoder, self._show, self._progress = encoder, show, progress
        on_gpu = next(encoder.parameters()).device.type == "cuda"
        self._settings = EncodeSettings(
            precision=precision, tokens_per_batch=tokens_per_batch, store="float32", encoders=encoders, gpu=on_gpu
        )
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=None if is_url(directory) else directory, prefix=".encoder-") as temporary:
            saved = Path(temporary) / "encoder"
            encoder.save(saved)
            files = encoder_files(saved)
            self.directory = directory / _digits(json.dumps([files, precision], sort_keys=True).encode())
            if not (self.directory / "encoder").exists():
                self.directory.mkdir(exist_ok=True)
                _move(saved, self.directory / "encoder")

    def passages(self, retrieval_set: RetrievalSet) -> StoredPassages:
        """The passages of a set, encoded where they are not there yet.

        Raises:
            DataError: a passage that no index could hold, such as one without a text; the message names it.
            UserError: see `encode_passages`.
        """
        columns = (retrieval_set.passage_ids, retrieval_set.passage_langs, retrieval_set.passage_texts)
        directory = self._of_set(retrieval_set) / "passages"
        if not is_url(directory) and directory.exists():
            store = VectorStore.open(directory)
            self._show(f"{store.count:,} passages are encoded already: {directory}")
        else:
            rows = (Passage(name, lang, None, text) for name, lang, text in zip(*columns, strict=True))
            store = encode_passages(
                rows,
                self.directory / "encoder",
                directory,
                self._settings,
                show=self._show,
                progress=self._progress,
                loaded=self._encoder,
            )
        return StoredPassages(store, retrieval_set.passage_langs)

    def queries(self, retrieval_set: RetrievalSet) -> FloatMatrix:
        """A vector for each query, [Q, D], encoded where they are not there yet."""
        path = self._of_set(retrieval_set) / f"queries-{digest_of_texts(retrieval_set.query_texts)[:16]}.safetensors"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            vectors_QD = self._encoder.encode(
                retrieval_set.query_texts,
                "query",
                precision=self._settings.precision,
                tokens_per_batch=self._settings.tokens_per_batch or 8192,
                progress=f"{retrieval_set.name}: queries" if self._progress else None,
                remember=True,
            )
            vectors_by_name = {"vectors": np.ascontiguousarray(vectors_QD)}
            if is_url(path):
                path.write_bytes(save(vectors_by_name))
            else:
                fresh = path.with_suffix(f".{os.getpid()}.partial")
                save_file(vectors_by_name, fresh)
                os.replace(fresh, path)
        vectors: FloatMatrix = load_file(local(path))["vectors"]
        if len(vectors) != len(retrieval_set.query_ids):
            raise UserError(f"{path} has {len(vectors)} vectors for {len(retrieval_set.query_ids)} queries; remove it")
        return vectors

    def _of_set(self, retrieval_set: RetrievalSet) -> Path:
        texts = digest_of_texts(retrieval_set.passage_ids, retrieval_set.passage_langs, retrieval_set.passage_texts)[:16]
        return self.directory / f"{retrieval_set.name.replace('/', '-')}-{texts}"


def _move(directory: Path, target: Path) -> None:
    """Puts a whole directory in its place, in one step."""
    if is_url(target):
        from xlret.storage.publish import publish

        publish(directory, as_url(target))
    else:
        os.rename(directory, target)
        flush(target.parent)


def _digits(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
