"""From encoded passages to an index: train once, fill every shard alike, measure, publish."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xlret.artifacts import write_table
from xlret.errors import UserError
from xlret.keys import generator
from xlret.model.debias.component import DEBIAS, DebiasMethod, LanguageComponent
from xlret.search.calibration import CALIBRATION, estimate_calibration
from xlret.search.certificate import certify
from xlret.search.debias import FILE, passage_vectors, settled_component
from xlret.search.factory import Factory, choose, describe, factory_of, new_index, train, training_rows
from xlret.search.faiss_files import write_index
from xlret.search.index import SearchIndex
from xlret.search.manifest import SAMPLE, TRAINED, Certificate, File, IndexManifest, ShardEntry, file_entry
from xlret.search.settings import IndexSettings
from xlret.search.vectors.store import Vectors, VectorStore, vectors_of
from xlret.search.write import hashes, joined, live_manifest, publish, sample_of, scratch, write_lists, write_shard

QUERIES = "queries.arrow"
Say = Callable[[str], None]
Pieces = Callable[[], Iterator[tuple[pa.Table, Vectors]]]
"""Gives all passages anew each time, some thousand at once: rows without vectors, and vectors."""


def build_index(
    store: VectorStore,
    out: Path,
    settings: IndexSettings | None = None,
    *,
    queries: Mapping[str, NDArray[np.float32]] | None = None,
    debias: LanguageComponent | DebiasMethod | None = None,
    say: Say = print,
) -> Path:
    """Builds an index of all passages of a store, as a new version in `out`.

    Memory: one shard's texts and vectors, its index, and 20 bytes for each passage. While an index with inverted lists or
    codes is trained, 100 vectors for each list, and at least 65,536 for PQ or 25,600 for SQ, 4 bytes a number: 2.5 GB for
    16,384 lists and 384 numbers.

    Args:
        store: encoded passages.
        out: index directory; a version in it stays whole.
        settings: how.
        queries: query language -> vectors of queries [N, D] to measure recall with; by default a sample of the
            passages, each of which is then not to find itself.
        debias: a language component that is taken out of all vectors, now and of what is added later, or the method to
            estimate it by from the passages; the index carries it, and queries have to lose it too.
        say: told what is done and why.

    Returns:
        The version's directory.

    Raises:
        UserError: settings that do not fit the passages, a full disk, or `out` is no place for an index.
    """
    settings = settings or IndexSettings()
    if settings.factory == "auto":
        factory, why = choose(store.count, store.dimension, store.dtype)
        say(f"factory {factory.text}: {why}")
    else:
        factory = factory_of(settings.factory, store.count, store.dimension, store.dtype)
    say(f"{store.count:,} passages: {describe(factory, store.count, store.dimension, store.dtype)}")

    def stored() -> Iterator[tuple[pa.Table, Vectors]]:
        for part in store.parts():
            yield part.drop_columns(["vector"]), vectors_of(part)

    component = None
    if debias is not None:
        component = settled_component(debias, store, lambda: _by_language(draw_sample(stored, len(store.languages))), say)
    if queries is not None and component is not None:
        queries = {lang: component.remove(rows, [lang] * len(rows), "query") for lang, rows in queries.items()}

    def pieces() -> Iterator[tuple[pa.Table, Vectors]]:
        for part in store.parts():
            yield part.drop_columns(["vector"]), passage_vectors(component, part)

    with scratch(out) as directory:
        names = sorted(store.languages)
        keys, lang_N = _keys_and_langs(pieces, names)
        trained = _trained(pieces, lang_N, names, factory, store.dimension, settings, say)
        sample = draw_sample(pieces, len(store.languages))
        values: dict[str, Any] = {
            "dimension": store.dimension,
            "dtype": store.dtype,
            "factory": factory.text,
            "kind": factory.kind,
            "nlist": factory.nlist,
            "lossless": factory.lossless,
            "refine": factory.refine,
            "exact_rows": settings.exact_rows,
            "base_shards": settings.shards,
            "fields": store.fields,
            "encoder": store.encoder,
            "settings": settings.model_dump(mode="json", exclude={"threads"}),
        }
        values |= write_shards(
            directory, pieces, keys % np.uint64(settings.shards), settings.shards, trained, values, settings.threads
        )
        if component is not None:
            component.save(directory / DEBIAS)
            values["files"][FILE] = file_entry(directory / DEBIAS)
            values["settings"]["debias"] = component.method
        manifest = finish(directory, values, trained, sample, query_sample(sample, queries, settings), say)
        return publish(out, directory, manifest)


def write_shards(
    directory: Path,
    pieces: Pieces,
    shard_N: NDArray[np.uint64],
    shards: int,
    trained: Any,
    values: Mapping[str, Any],
    threads: int,
) -> dict[str, Any]:
    """Writes all shards and the table of lists; returns what the manifest says of them."""
    entries: list[ShardEntry] = []
    counts: dict[str, NDArray[np.int64]] = {}
    flat = values["kind"] == "flat" and values["lossless"]
    for number in range(shards):
        rows, vectors = _rows_of(pieces, shard_N, number)
        entry, lists = write_shard(directory, number, rows, vectors, trained, flat, threads)
        entries.append(entry)
        add_lists(counts, lists, values["nlist"] or 0)
    languages = language_counts(entries)
    files: dict[str, File] = {}
    if values["nlist"]:
        files["lists"] = write_lists(directory, np.array([counts[code] for code in languages]))
    return {"shards": tuple(entries), "languages": languages, "count": sum(languages.values()), "files": files}


def add_lists(counts: dict[str, NDArray[np.int64]], lists: list[tuple[str, NDArray[np.int64]]], nlist: int) -> None:
    """Counts rows per language and list."""
    for code, rows in lists:
        counts[code] = counts.get(code, np.zeros(nlist, np.int64)) + np.bincount(rows, minlength=nlist)


def language_counts(entries: list[ShardEntry]) -> dict[str, int]:
    """Rows per language, languages in alphabetical order; right as long as none is deleted."""
    counts: dict[str, int] = {}
    for entry in entries:
        for code, (start, end) in entry.languages.items():
            counts[code] = counts.get(code, 0) + end - start
    return dict(sorted(counts.items()))


def finish(
    directory: Path, values: Mapping[str, Any], trained: Any, sample: pa.Table, queries: pa.Table, say: Say
) -> IndexManifest:
    """Writes the files about the whole index, measures it, and returns its manifest."""
    files = dict(values["files"])
    if trained is not None and "trained" not in files:
        write_index(trained, directory / TRAINED)
        files["trained"] = file_entry(directory / TRAINED)
    for name, table in ((SAMPLE, sample), (QUERIES, queries)):
        write_table(directory / name, table)
        files[name.partition(".")[0]] = file_entry(directory / name)
    estimate_calibration(_by_language(sample), made_from="sampled passages of the index").save(directory / CALIBRATION)
    files["calibration"] = file_entry(directory / CALIBRATION)
    manifest = live_manifest(dict(values) | {"files": files, "certificate": None})
    certificate = _certificate(directory, manifest, queries, values["settings"]["recall"], say)
    return manifest.model_copy(update={"certificate": certificate})


def query_sample(sample: pa.Table, queries: Mapping[str, NDArray[np.float32]] | None, settings: IndexSettings) -> pa.Table:
    """The queries that an index is measured with, now and after every change: columns lang, exclude, vector."""
    langs: list[str] = []
    excluded: list[str | None] = []
    vectors: list[NDArray[np.float32]] = []
    by_lang = dict(sorted((queries or _by_language(sample)).items()))
    ids = {code: sample.filter(pa.compute.equal(sample.column("lang"), code)).column("id").to_pylist() for code in by_lang}
    per_language = math.ceil(settings.certificate_queries / max(1, len(by_lang)))
    for code, queries_ND in by_lang.items():
        vectors += list(np.asarray(queries_ND[:per_language], dtype=np.float32))
        langs += [code] * len(queries_ND[:per_language])
        excluded += ids[code][:per_language] if queries is None else [None] * len(queries_ND[:per_language])
    if not vectors:
        raise UserError("no queries to measure the index with; leave them out or give some")
    flat = pa.array(np.array(vectors, dtype=np.float32).ravel())
    column = pa.FixedSizeListArray.from_arrays(flat, len(vectors[0]))
    return pa.table({"lang": langs, "exclude": pa.array(excluded, pa.large_string()), "vector": column})


def _certificate(directory: Path, manifest: IndexManifest, queries: pa.Table, target: float, say: Say) -> Certificate:
    exclude = [frozenset() if name is None else frozenset([name]) for name in queries.column("exclude").to_pylist()]
    vectors = np.asarray(vectors_of(queries), dtype=np.float32)
    certificate = certify(SearchIndex.from_manifest(directory, manifest), vectors, exclude, _made_of(queries), target)
    say(f"measured with {certificate.queries} {certificate.made_of}: exact search {certificate.exact_qps:,.0f} queries/s")
    name = {"ivf": "nprobe ", "hnsw": "ef "}.get(manifest.kind)
    for dial in certificate.dials:
        mark = "  <- default" if dial.value == certificate.default else ""
        dial_name = f"{name}{dial.value}: " if name else ""
        say(f"  {dial_name}recall@10 {dial.recall_10:.3f}, recall@100 {dial.recall_100:.3f}, {dial.qps:,.0f} queries/s{mark}")
    return certificate


def _made_of(queries: pa.Table) -> str:
    return "queries" if queries.column("exclude").null_count else "sampled passages, each to find others"


def _by_language(table: pa.Table) -> dict[str, NDArray[np.float32]]:
    vectors = np.asarray(vectors_of(table), dtype=np.float32)
    langs = np.array(table.column("lang").to_pylist(), dtype=np.str_)
    return {str(code): vectors[langs == code] for code in np.unique(langs)}


def _keys_and_langs(pieces: Pieces, names: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Of each passage the hash of its id, and its language as a place in `names` (as text it would take ten times as much)."""
    keys, langs, numbers = [], [], {code: number for number, code in enumerate(names)}
    for table, _ in pieces():
        keys.append(hashes(table.column("id").to_pylist()))
        langs.append(np.array([numbers[code] for code in table.column("lang").to_pylist()], dtype=np.int32))
    return np.concatenate(keys), np.concatenate(langs)


def _rows_of(pieces: Pieces, shard_N: NDArray[np.uint64], number: int) -> tuple[pa.Table, Vectors]:
    tables, vectors, start = [], [], 0
    for table, block in pieces():
        in_shard = shard_N[start : start + len(block)] == number
        start += len(block)
        tables.append(table.filter(pa.array(in_shard)))
        vectors.append(block[in_shard])
    return joined(tables), np.concatenate(vectors)


def draw_sample(pieces: Pieces, languages: int) -> pa.Table:
    """What `sample_of` all passages would be; one pass over them."""
    sample: pa.Table | None = None
    for table, vectors in pieces():
        drawn = sample_of(table, vectors, languages)
        if sample is not None:
            drawn = joined([sample, drawn])
            drawn = sample_of(drawn, vectors_of(drawn), languages)
        sample = drawn
    return sample


def _trained(
    pieces: Pieces,
    lang_N: NDArray[np.int32],
    names: Sequence[str],
    factory: Factory,
    dimension: int,
    settings: IndexSettings,
    say: Say,
) -> Any:
    """A trained, empty index; None where the stored vectors are searched as they are."""
    if factory.kind == "flat" and factory.lossless:
        return None
    index = new_index(factory, dimension, settings.seed)
    wanted = training_rows(factory, len(lang_N))
    if index.is_trained or wanted == 0:
        return index
    chosen = np.sort(stratified(lang_N, names, wanted, settings.seed))
    say(f"training on {len(chosen):,} passages of all {len(names)} languages")
    vectors_TD, start = np.empty((len(chosen), dimension), np.float32), 0
    for _, block in pieces():
        first, last = np.searchsorted(chosen, (start, start + len(block)))
        vectors_TD[first:last] = block[chosen[first:last] - start]
        start += len(block)
    train(index, vectors_TD, settings.threads)
    return index


def stratified(lang_N: NDArray[np.int32], names: Sequence[str], wanted: int, seed: int) -> NDArray[np.int64]:
    """About `wanted` rows: each language by its share, but at least a quarter of an equal part, or all it has.

    Args:
        lang_N: each passage's language, as a place in `names`.
        names: the languages, in alphabetical order.
        wanted: how many rows.
        seed: of the draw.
    """
    floor = max(1, wanted // (4 * len(names)))
    chosen = []
    for lang, (code, count) in enumerate(zip(names, np.bincount(lang_N, minlength=len(names)).tolist(), strict=True)):
        rows_wanted = min(count, max(floor, wanted * count // len(lang_N)))
        rows = np.flatnonzero(lang_N == lang)
        chosen.append(rows[generator(seed, "train", code).permutation(count)[:rows_wanted]])
    return np.concatenate(chosen)
