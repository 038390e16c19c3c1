"""Recall and speed of each kind of index at each dial, on many vectors, as a table and a picture."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from jobs.bench.setup import Bench
from xlret.data.corpus import ParallelCorpus
from xlret.data.rows import ReadingReport
from xlret.data.sources.ntrex import NtrexSource
from xlret.errors import UserError
from xlret.files import shared_directory
from xlret.keys import generator
from xlret.model.encoder import Encoder
from xlret.search.build import build_index
from xlret.search.index import SearchIndex
from xlret.search.manifest import Certificate, IndexManifest
from xlret.search.passages import Passage, passages_of_corpus
from xlret.search.settings import IndexSettings
from xlret.search.vectors.store import VectorStore, part_file, stored, write_manifest, write_part

FACTORIES = ("Flat", "SQ8", "IVF,SQ8", "IVF,Flat", "IVF,SQ4", "IVF,PQ{m}", "HNSW32,SQ8", "OPQ{m},IVF,PQ{m}")
LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "ja", "ru", "th", "tr", "vi", "zh")
ENCODED = 8192
PER_PART = 8192
_SHIFT = 0.5


def run(bench: Bench, console: Console) -> None:
    """Recall@10, recall@100 and queries/s of each factory at each dial, against exact search of the same vectors."""
    directory = bench.directory / "curves"
    store, made_of = _store(bench, directory / f"vectors-{bench.vectors}")
    console.print(f"{store.count:,} x {store.dimension} {store.dtype}: {made_of}")
    done: list[IndexManifest] = []
    picture = bench.directory / "curves.png"
    began = time.monotonic()
    for factory in bench.factories or _factories(store.dimension):
        if time.monotonic() - began > bench.seconds:
            console.print(f"{factory} is left out: {bench.seconds:,.0f} seconds are over")
            continue
        started = time.monotonic()
        shutil.rmtree(directory / "index", ignore_errors=True)
        version = build_index(store, directory / "index", IndexSettings(factory=factory), say=lambda line: None)
        index = SearchIndex.open(version, verify_files=False)
        done.append(index.manifest)
        console.print(_table(index.manifest, _memory(version, index.manifest), time.monotonic() - started))
        _draw(done, f"{store.count:,} x {store.dimension}, one thread: {made_of}", picture)
    shutil.rmtree(directory / "index", ignore_errors=True)
    console.print(f"drawn: {picture}")


def _factories(dimension: int) -> list[str]:
    m = max(width for width in range(1, dimension // 8 + 1) if dimension % width == 0)
    return [factory.format(m=m) for factory in FACTORIES]


def _store(bench: Bench, path: Path) -> tuple[VectorStore, str]:
    """Real embeddings, and as many copies of them as are wanted, each moved by half the difference of two others."""
    passages, encoder, made_of = _real(bench)
    if bench.vectors > len(passages):
        made_of += ", further ones each moved by half the difference of two others"
    real = path.with_name(f"real-{encoder.name}.npy")
    if not real.exists():
        real.parent.mkdir(parents=True, exist_ok=True)
        model = Encoder.load(encoder, max_passage_tokens=64)
        vectors = model.encode(
            [passage.full_text for passage in passages], "passage", tokens_per_batch=2048, progress="encoding"
        )
        np.save(real, vectors)
    try:
        return VectorStore.open(path, verify=False), made_of
    except UserError:
        shutil.rmtree(path, ignore_errors=True)
    base = np.load(real, allow_pickle=False)
    path.mkdir(parents=True)
    counts: dict[str, int] = {}
    for number, (part, vectors) in enumerate(_parts(passages, base, bench.vectors)):
        write_part(path / part_file(number), part, stored([passage.id for passage in part], vectors, "float16"), {})
        for passage in part:
            counts[passage.lang] = counts.get(passage.lang, 0) + 1
    write_manifest(path, "float16", base.shape[1], counts, {}, {"dimension": base.shape[1]}, {}, "")
    return VectorStore.open(path, verify=False), made_of


def _real(bench: Bench) -> tuple[list[Passage], Path, str]:
    """Texts and their encoder: news sentences and a trained one where shared data is there, else what the quickstart has."""
    news, encoder = shared_directory() / "data/ntrex", shared_directory() / "models/mini-xl"
    if news.is_dir() and encoder.is_dir():
        source = NtrexSource(format="ntrex", path=news, languages=LANGUAGES)
        passages = [
            Passage(f"{row.group_id}:{row.lang}", row.lang, None, row.query or "", {}) for row in source.rows(ReadingReport())
        ]
        what = "embeddings of NTREX sentences by mini-xl"
    else:
        passages, encoder = list(passages_of_corpus(ParallelCorpus.open(bench.job.corpora[0], verify=False))), bench.start
        what = "embeddings of the embedded corpus by an untrained encoder"
    order = generator(0, "curves", "passages").permutation(len(passages))[:ENCODED]
    chosen = [passages[row] for row in np.sort(order)]
    return chosen, encoder, f"{len(chosen):,} {what} in {len({passage.lang for passage in chosen})} languages"


def _parts(
    passages: list[Passage], base_BD: NDArray[np.float32], count: int
) -> Iterator[tuple[list[Passage], NDArray[np.float32]]]:
    for start in range(0, count, PER_PART):
        rows = np.arange(start, min(start + PER_PART, count))
        sources = rows % len(base_BD)
        numbers = generator(0, "curves", start)
        first, second = numbers.integers(len(base_BD), size=(2, len(rows)))
        moved = (rows >= len(base_BD))[:, None] * _SHIFT * (base_BD[first] - base_BD[second])
        vectors = base_BD[sources] + moved.astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        yield [Passage(str(row), passages[at].lang, None, "-", {}) for row, at in zip(rows, sources, strict=True)], vectors


def _memory(version: Path, manifest: IndexManifest) -> float:
    """Bytes for each vector of what is loaded; the mapped vectors where that is what is searched."""
    files = [shard.index or shard.vectors for shard in manifest.shards]
    return sum((version / file.file).stat().st_size for file in files) / manifest.count


def _table(manifest: IndexManifest, memory: float, seconds: float) -> Table:
    assert manifest.certificate is not None
    title = f"{manifest.factory}: {memory:,.0f} bytes a vector, built and measured in {seconds:,.0f} s"
    table = Table("dial", "recall@10", "recall@100", "queries/s", "times exact", title=title, title_justify="left")
    for point in manifest.certificate.dials:
        mark = " (default)" if point.value == manifest.certificate.default else ""
        name = {"ivf": "nprobe", "hnsw": "ef"}.get(manifest.kind)
        dial = f"{name} {point.value}{mark}" if name else "-"
        ratio = point.qps / manifest.certificate.exact_qps
        table.add_row(dial, f"{point.recall_10:.3f}", f"{point.recall_100:.3f}", f"{point.qps:,.0f}", f"{ratio:.1f}")
    return table


def _draw(done: list[IndexManifest], title: str, path: Path) -> None:
    try:
        import matplotlib
    except ImportError as error:
        raise UserError("the picture needs matplotlib; pip install 'xlret[bench]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 6))
    for manifest in done:
        certificate: Certificate | None = manifest.certificate
        assert certificate is not None
        recall, qps = [dial.recall_10 for dial in certificate.dials], [dial.qps for dial in certificate.dials]
        axes.plot(recall, qps, marker="o", label=manifest.factory)
    axes.set(xlabel="recall@10 against exact search", ylabel="queries a second", yscale="log")
    axes.set_title(title, fontsize=9, wrap=True)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
