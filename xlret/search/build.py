"""From encoded passages to an index: train once, fill every shard alike, measure, publish."""

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xlret.artifacts import write_table
from xlret.calls import Calls, calls_for
from xlret.errors import UserError
from xlret.model.debias.component import DEBIAS, DebiasMethod, LanguageComponent
from xlret.search.calibration import CALIBRATION, estimate_calibration
from xlret.search.certificate import certify
from xlret.search.debias import FILE, passage_vectors, settled_component
from xlret.search.factory import Factory, choose, describe, factory_of, new_index, train, training_rows
from xlret.search.faiss_files import faiss, write_index
from xlret.search.manifest import SAMPLE, Certificate, IndexManifest, file_entry
from xlret.search.partition import Pieces, TrainingRows, blocks_in, partitioned
from xlret.search.settings import IndexSettings
from xlret.search.shard_task import Work, made_shards
from xlret.search.stages import Say, Stages
from xlret.search.vectors.store import Vectors, VectorStore, vectors_of
from xlret.search.write import joined, live_manifest, publish, sample_of, scratch
from xlret.storage.url import is_url

QUERIES = "queries.arrow"
_NO_MATTER = {"threads", "workers"}
"""Settings that decide no byte of an index."""


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

    Passages are parted by shard in one pass (for a single shard there is nothing to part), the index is trained once, and each
    shard is made from its part in a call of its own, which `IndexSettings.workers` places. The vectors are read three times at
    most, however many shards there are. A build that was killed leaves what is done to the next one of the same.

    Memory: one shard's texts and vectors, and its index, in each worker. While an index with inverted lists or codes is
    trained, 100 vectors for each list, and at least 65,536 for PQ or 25,600 for SQ, 4 bytes a number: 2.5 GB for 16,384 lists
    and 384 numbers. Disk: meanwhile all passages and vectors once more.

    Args:
        store: encoded passages; on a cluster all machines must see them, and `out`.
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
    languages, stages = len(store.languages), Stages(Path(out).name)
    with (
        scratch(out, _plan(store, factory, settings, debias)) as directory,
        calls_for(settings.workers, settings.shards, settings.threads, here=is_url(out)) as (calls, side_by_side),
    ):
        work, component = Work(directory), None
        if debias is not None:
            component = _component(store, debias, stages, say)
            if queries is not None:
                queries = {lang: component.remove(rows, [lang] * len(rows), "query") for lang, rows in queries.items()}
        blocks = _prepared(work, store, factory, component, settings, stages, say)
        with stages.passing("shards"):
            shards = made_shards(
                work,
                blocks,
                settings.shards,
                calls,
                say,
                nlist=factory.nlist,
                languages=languages,
                threads=max(1, settings.threads // side_by_side),
                index=Path(out).name,
            )
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
            "settings": settings.model_dump(mode="json", exclude=_NO_MATTER),
            **shards.values(),
        }
        if work.trained.exists():
            values["files"]["trained"] = file_entry(work.trained)
        if component is not None:
            component.save(work.version / DEBIAS)
            values["files"][FILE] = file_entry(work.version / DEBIAS)
            values["settings"]["debias"] = component.method
        with stages("measuring"):
            sampled_queries = query_sample(shards.sample, queries, settings)
            manifest = finish(work.version, values, shards.sample, sampled_queries, calls, say)
        with stages("checking"):
            version = publish(out, work.version, manifest, settings.threads)
    stages.tell(say)
    return version


def _plan(
    store: VectorStore, factory: Factory, settings: IndexSettings, debias: LanguageComponent | DebiasMethod | None
) -> str:
    """A name for all that decides what shards hold."""
    taken_out = debias.sha256 if isinstance(debias, LanguageComponent) else str(debias)
    decisive = (store.manifest.model_dump_json(), factory.text, settings.model_dump_json(exclude=_NO_MATTER), taken_out)
    return hashlib.sha256("\n".join((*decisive, faiss.__version__, pa.__version__)).encode()).hexdigest()[:16]


def _component(store: VectorStore, debias: LanguageComponent | DebiasMethod, stages: Stages, say: Say) -> LanguageComponent:
    def sample() -> dict[str, NDArray[np.float32]]:
        with stages.passing("language component"):
            return _by_language(draw_sample(lambda: _pieces(store, None), len(store.languages)))

    return settled_component(debias, store, sample, say)


def _pieces(store: VectorStore, component: LanguageComponent | None) -> Iterator[tuple[pa.Table, Vectors]]:
    """All passages, and their vectors as the index is to hold them."""
    for part in store.parts():
        yield part.drop_columns(["vector"]), passage_vectors(component, part)


def _prepared(
    work: Work,
    store: VectorStore,
    factory: Factory,
    component: LanguageComponent | None,
    settings: IndexSettings,
    stages: Stages,
    say: Say,
) -> list[Path]:
    """Parts passages by shard and trains, in one pass, what is not done yet; the passages in blocks."""

    def pieces() -> Iterator[tuple[pa.Table, Vectors]]:
        return _pieces(store, component)

    training, index = None, None
    if not (factory.kind == "flat" and factory.lossless) and not work.trained.exists():
        index = new_index(factory, store.dimension, settings.seed)
        if not index.is_trained:
            wanted = training_rows(factory, store.count)
            training = TrainingRows(store.languages, wanted, store.dimension, settings.seed)
    if settings.shards == 1 and component is None:
        blocks: list[Path] | None = store.files()  # one batch each, as it is
    else:
        blocks = blocks_in(work.blocks)
    if blocks is None:
        with stages.passing("parting by shard"):
            blocks = partitioned(pieces, settings.shards, work.blocks, training)
    elif training is not None:
        with stages.passing("sampling"):
            for table, vectors_ND in pieces():
                training.look(table, vectors_ND)
    if index is not None:
        with stages("training"):
            if training is not None:
                say(f"training on {len(training.vectors_TD):,} passages of all {len(store.languages)} languages")
                train(index, training.vectors_TD, settings.threads)
            unfinished = work.trained.with_suffix(".tmp")
            write_index(index, unfinished)
            os.replace(unfinished, work.trained)
    return blocks


def finish(
    directory: Path, values: Mapping[str, Any], sample: pa.Table, queries: pa.Table, calls: Calls, say: Say
) -> IndexManifest:
    """Writes the files about the whole index, measures it, and returns its manifest."""
    files = dict(values["files"])
    for name, table in ((SAMPLE, sample), (QUERIES, queries)):
        write_table(directory / name, table)
        files[name.partition(".")[0]] = file_entry(directory / name)
    estimate_calibration(_by_language(sample), made_from="sampled passages of the index").save(directory / CALIBRATION)
    files["calibration"] = file_entry(directory / CALIBRATION)
    manifest = live_manifest(dict(values) | {"files": files, "certificate": None})
    certificate = _certificate(directory, manifest, queries, values["settings"]["recall"], calls, say)
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


def _certificate(
    directory: Path, manifest: IndexManifest, queries: pa.Table, target: float, calls: Calls, say: Say
) -> Certificate:
    exclude = [frozenset() if name is None else frozenset([name]) for name in queries.column("exclude").to_pylist()]
    vectors = np.asarray(vectors_of(queries), dtype=np.float32)
    certificate = certify(directory, manifest, vectors, exclude, _made_of(queries), target, calls)
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
