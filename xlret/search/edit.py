"""Changing an index: passages added, deleted, or all laid out anew. Each makes a new version; the old one stays whole."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from xlret.artifacts import link_or_copy, open_table
from xlret.calls import Calls, calls_for, in_turn
from xlret.errors import DataError, UserError
from xlret.model.debias.component import DEBIAS
from xlret.search.build import QUERIES, draw_sample, finish
from xlret.search.calibration import sampled
from xlret.search.debias import FILE, passage_vectors, read_component
from xlret.search.factory import encoded, lists_of
from xlret.search.faiss_files import read_index
from xlret.search.index import SearchIndex
from xlret.search.manifest import LISTS, REMEDY, SAMPLE, TRAINED, IndexManifest, ShardEntry, current_version, read_manifest
from xlret.search.partition import blocks_in, partitioned
from xlret.search.settings import MOST_SHARDS
from xlret.search.shard import Shard
from xlret.search.shard_task import Work, made_shards
from xlret.search.stages import Say, Stages
from xlret.search.vectors.store import Vectors, VectorStore, vectors_of
from xlret.search.write import (
    joined,
    publish,
    sample_of,
    scratch,
    write_lists,
    write_shard,
    write_tombstones,
)
from xlret.storage.url import is_url

_ROWS_AT_ONCE = 8192
_SAME = ("sha256", "query_prompt", "passage_prompt", "max_passage_tokens")
Counts = dict[str, NDArray[np.int64]]
"""Language -> how many of its passages each inverted list holds."""


def append(index_dir: Path, store: VectorStore, *, replace: bool = False, threads: int = 1, say: Say = print) -> Path:
    """Adds all passages of a store as one further shard, encoded by what the index was trained with.

    Args:
        index_dir: the index.
        store: passages encoded with the index's encoder.
        replace: passages whose ids are there already take the old ones' places; otherwise that is an error.
        threads: for encoding.

    Returns:
        The new version's directory; CURRENT names it.

    Raises:
        UserError: another encoder, ids that are there already, or another process is changing the index.
    """
    current_version(index_dir)
    with scratch(index_dir) as directory:
        old = SearchIndex.open(index_dir)
        check_fit(old.manifest, store.dimension, store.dtype, store.encoder)
        fields = _fields(old.manifest, store)
        tables = [part.drop_columns(["vector"]) for part in store.parts()]
        component = read_component(old.path, old.manifest)
        vectors = np.concatenate([passage_vectors(component, part) for part in store.parts()])
        table = pa.concat_tables(tables)
        doomed = _rows_with(old, table.column("id").to_pylist())
        taken = sum(len(rows) for rows in doomed)
        if taken and not replace:
            number = next(number for number, rows in enumerate(doomed) if len(rows))
            name = old.shards[number].passages(doomed[number][:1].tolist())[0].id
            raise UserError(
                f"{taken:,} of the ids are in the index already, such as {name!r}; say --replace, or delete them first"
            )
        trained, counts = _trained(old), _counts(old)
        entries = _with_deleted(old, directory, doomed, counts, trained)
        flat = old.manifest.kind == "flat" and old.manifest.lossless
        entry, lists = write_shard(directory, len(entries), table, vectors, trained, flat, threads)
        for code, rows in lists:
            counts[code] = counts.get(code, 0) + np.bincount(rows, minlength=old.manifest.nlist or 0)
        languages = dict(old.manifest.languages)
        for number, rows in enumerate(doomed):
            _subtract(languages, old.shards[number], rows)
        sample = _sample_without(old, doomed, languages)
        for code, (start, end) in entry.languages.items():
            languages[code] = languages.get(code, 0) + end - start
        added = sample_of(table, vectors, len(languages))
        longer_sample = joined([sample, added])
        values = _kept_values(old) | {
            "fields": fields,
            "shards": (*entries, entry),
            "languages": dict(sorted(languages.items())),
            "files": {},
        }
        say(f"{table.num_rows:,} passages added as shard {entry.number}" + (f", {taken:,} replaced" if taken else ""))
        sample = sample_of(longer_sample, vectors_of(longer_sample), len(languages))
        return _publish(index_dir, directory, old, values, counts, sample, say)


def delete(index_dir: Path, ids: Sequence[str], *, say: Say = print) -> Path:
    """Marks passages as deleted: they are never found again. `compact` gives their place back.

    Ids that the index does not have are counted and said. Where sampled passages go, their languages are read once more.

    Returns:
        The new version's directory; CURRENT names it.

    Raises:
        UserError: none of the ids is in the index, or another process is changing it.
    """
    current_version(index_dir)
    with scratch(index_dir) as directory:
        old = SearchIndex.open(index_dir)
        wanted = list(dict.fromkeys(ids))
        doomed = _rows_with(old, wanted)
        doomed_count = sum(len(rows) for rows in doomed)
        if not doomed_count:
            raise UserError(
                f"none of the {len(wanted):,} ids is in the index" + (f", such as {wanted[0]!r:.80}" if wanted else "")
            )
        if doomed_count == old.manifest.count:
            raise UserError(f"these are all {doomed_count:,} passages of the index; build another instead")
        trained, counts = _trained(old), _counts(old)
        entries = _with_deleted(old, directory, doomed, counts, trained)
        languages = dict(old.manifest.languages)
        for number, rows in enumerate(doomed):
            _subtract(languages, old.shards[number], rows)
        values = _kept_values(old) | {"shards": tuple(entries), "languages": languages, "files": {}}
        missing = f"; {len(wanted) - doomed_count:,} ids are not in the index" if doomed_count < len(wanted) else ""
        say(f"{doomed_count:,} passages deleted{missing}")
        return _publish(index_dir, directory, old, values, counts, _sample_without(old, doomed, languages), say)


def compact(
    index_dir: Path, *, shards: int | None = None, threads: int = 1, workers: int | None = None, say: Say = print
) -> Path:
    """Lays all passages that are left out anew over the shards; searches answer as before.

    As in `build_index`, passages are parted by shard in one pass, each shard is made in a call of its own, and what a killed
    call has done is left to the next.

    Args:
        index_dir: the index.
        shards: how many; by default as many as it was built with.
        threads: for encoding.
        workers: as in `IndexSettings`.

    Returns:
        The new version's directory; CURRENT names it.

    Raises:
        UserError: a number of shards out of range, or another process is changing the index.
    """
    if shards is not None and not 1 <= shards <= MOST_SHARDS:
        raise UserError(f"shards is {shards}; allowed is 1 to {MOST_SHARDS}")
    stages = Stages(Path(index_dir).name)
    current = current_version(index_dir)
    shards = shards or read_manifest(current).base_shards
    plan = f"compact-{current.name}-{shards}"
    with (
        scratch(index_dir, plan) as directory,
        calls_for(workers, shards, threads, here=is_url(index_dir)) as (calls, side_by_side),
    ):
        old, work = SearchIndex.open(index_dir), Work(directory)
        if old.path != current:
            raise UserError(f"{index_dir} was changed meanwhile; begin again")
        _link_trained(old, work.version)
        if (blocks := blocks_in(work.blocks)) is None:
            nothing: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(old.shards)
            with stages.passing("parting by shard"):
                blocks = partitioned(lambda: _passages_left(old, nothing, old.manifest.languages), shards, work.blocks)
        with stages.passing("shards"):
            made = made_shards(
                work,
                blocks,
                shards,
                calls,
                say,
                nlist=old.manifest.nlist,
                languages=sum(1 for count in old.manifest.languages.values() if count),
                threads=max(1, threads // side_by_side),
                index=Path(index_dir).name,
            )
        say(f"{sum(made.languages.values()):,} passages in {shards} shards")
        values = _kept_values(old) | {"base_shards": shards} | made.values()
        with stages("measuring and checking"):
            version = _publish(index_dir, work.version, old, values, None, made.sample, say, calls)
    stages.tell(say)
    return version


def _publish(
    index_dir: Path,
    directory: Path,
    old: SearchIndex,
    values: dict[str, Any],
    counts: Counts | None,
    sample: Any,
    say: Say,
    calls: Calls = in_turn,
) -> Path:
    """Measures and publishes what was written; `counts` is written too where it is given."""
    values["count"] = sum(values["languages"].values())
    values["parent"] = old.manifest.version
    if counts is not None and old.manifest.nlist is not None:
        empty = np.zeros(old.manifest.nlist, np.int64)
        values["files"]["lists"] = write_lists(directory, np.array([counts.get(code, empty) for code in values["languages"]]))
    if "trained" in old.manifest.files:
        _link_trained(old, directory)
        values["files"]["trained"] = old.manifest.files["trained"]
    if FILE in old.manifest.files:
        link_or_copy(old.path / DEBIAS, directory / DEBIAS)
        values["files"][FILE] = old.manifest.files[FILE]
    queries = open_table(old.path / QUERIES, REMEDY)
    if is_url(index_dir) and current_version(index_dir).name != old.path.name:  # no lock keeps other machines out
        raise UserError(f"{index_dir} was changed meanwhile by somebody else; begin again")
    return publish(index_dir, directory, finish(directory, values, sample, queries, calls, say))


def _kept_values(old: SearchIndex) -> dict[str, Any]:
    """What stays as it was."""
    return old.manifest.model_dump(
        exclude={"version", "seal", "parent", "shards", "languages", "count", "files", "certificate", "faiss"}
    )


def _with_deleted(
    old: SearchIndex, directory: Path, doomed: list[NDArray[np.int64]], counts: Counts, trained: Any
) -> list[ShardEntry]:
    """The old shards in a new version, with more rows deleted."""
    entries = []
    for entry, shard, rows in zip(old.manifest.shards, old.shards, doomed, strict=True):
        for file in entry.files():
            if file != entry.tombstones or not len(rows):
                link_or_copy(old.path / file.file, directory / file.file)
        if len(rows):
            deleted = np.zeros(entry.count, bool) if shard.deleted_N is None else shard.deleted_N.copy()
            deleted[rows] = True
            tombstones = write_tombstones(directory, entry.number, deleted)
            entry = entry.model_copy(update={"tombstones": tombstones, "deleted": int(deleted.sum())})
            if old.manifest.nlist is not None:
                lists = lists_of(trained, encoded(trained, shard.vectors[rows].astype(np.float32), 1))
                for code, (start, end) in entry.languages.items():
                    rows_lists = lists[(rows >= start) & (rows < end)]
                    counts[code] = counts[code] - np.bincount(rows_lists, minlength=old.manifest.nlist)
        entries.append(entry)
    return entries


def _rows_with(index: SearchIndex, ids: Sequence[str]) -> list[NDArray[np.int64]]:
    """For each shard the rows, not yet deleted, whose id is one of these."""
    wanted = pa.array(list(ids), pa.large_string())
    rows = []
    for shard in index.shards:
        matches_N = pc.is_in(shard.table.column("id"), value_set=wanted).to_numpy(zero_copy_only=False)
        rows.append(np.flatnonzero(matches_N if shard.deleted_N is None else matches_N & ~shard.deleted_N))
    return rows


def _subtract(languages: dict[str, int], shard: Shard, rows: NDArray[np.int64]) -> None:
    for code, (start, end) in shard.entry.languages.items():
        languages[code] -= int(((rows >= start) & (rows < end)).sum())


def _passages_left(
    old: SearchIndex, doomed: list[NDArray[np.int64]], languages: Container[str]
) -> Iterator[tuple[pa.Table, Vectors]]:
    """The passages in these languages that are neither deleted nor doomed, some thousand at once."""
    for shard, rows in zip(old.shards, doomed, strict=True):
        kept_N = np.ones(shard.table.num_rows, bool) if shard.deleted_N is None else ~shard.deleted_N
        kept_N[rows] = False
        for code, (start, end) in shard.entry.languages.items():
            if code not in languages:
                kept_N[start:end] = False
        kept = np.flatnonzero(kept_N)
        for start in range(0, len(kept), _ROWS_AT_ONCE):
            block = kept[start : start + _ROWS_AT_ONCE]
            yield shard.table.take(pa.array(block)), shard.vectors[block]


def _sample_without(old: SearchIndex, doomed: list[NDArray[np.int64]], languages: Mapping[str, int]) -> pa.Table:
    """The sample without what is doomed. Of languages that it then has fewer of than it could, another is drawn: else it
    would shrink to nothing where passages come and go.

    Args:
        old: the index.
        doomed: rows of each shard.
        languages: how many passages of each are left.
    """
    sample = open_table(old.path / SAMPLE, REMEDY)
    for shard, rows in zip(old.shards, doomed, strict=True):
        doomed_ids = shard.table.column("id").take(pa.array(rows)).combine_chunks()
        sample = sample.filter(pc.invert(pc.is_in(sample.column("id"), value_set=doomed_ids)))
    held, most = Counter(sample.column("lang").to_pylist()), sampled(len(languages))
    short = {code for code, left in languages.items() if held[code] < min(left, most)}
    if not short:
        return sample
    rest = sample.filter(pc.invert(pc.is_in(sample.column("lang"), value_set=pa.array(sorted(short), pa.string()))))
    whole = joined([rest, draw_sample(lambda: _passages_left(old, doomed, short), len(languages))])
    return sample_of(whole, vectors_of(whole), len(languages))


def _link_trained(old: SearchIndex, directory: Path) -> None:
    """Puts what the index was trained to beside its new files, where there is such and it is not there yet."""
    if "trained" in old.manifest.files and not (directory / TRAINED).exists():
        link_or_copy(old.path / TRAINED, directory / TRAINED)


def _trained(old: SearchIndex) -> Any:
    return read_index(old.path / TRAINED) if "trained" in old.manifest.files else None


def _counts(old: SearchIndex) -> Counts:
    if old.manifest.nlist is None:
        return {}
    table = np.load(old.path / LISTS, allow_pickle=False).astype(np.int64)
    return dict(zip(old.manifest.languages, table, strict=True))


def check_fit(manifest: IndexManifest, dimension: int, dtype: str, encoder: Mapping[str, Any]) -> None:
    """Checks that passages so encoded can be appended to an index; `encoder` as in `VectorStore`.

    Raises:
        UserError: they cannot.
    """
    if (dimension, dtype) != (manifest.dimension, manifest.dtype):
        raise UserError(
            f"the passages have {dimension} {dtype} numbers, the index {manifest.dimension} {manifest.dtype}; encode them alike"
        )
    for name in _SAME:
        if encoder.get(name) != manifest.encoder.get(name):
            raise UserError(
                f"the passages were encoded otherwise than the index: {name} is {encoder.get(name)!s:.80}, "
                f"there {manifest.encoder.get(name)!s:.80}; encode them with {manifest.encoder.get('path')}"
            )


def _fields(manifest: IndexManifest, store: VectorStore) -> dict[str, Any]:
    """The metadata fields of both; whole numbers and others mix."""
    fields: dict[str, Any] = dict(manifest.fields)
    for name, kind in store.fields.items():
        if {fields.get(name, kind), kind} == {"int", "float"}:
            fields[name] = "float"
        elif fields.setdefault(name, kind) != kind:
            raise DataError(f"metadata field {name} is a {kind} in the new passages and a {fields[name]} in the index")
    return dict(sorted(fields.items()))
