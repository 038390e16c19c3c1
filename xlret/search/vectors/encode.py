"""Bulk encoding: any number of passages to a vector store, on the processors or GPUs that Ray has, resumable at any moment.

The input is checked and laid aside in parts first, so that nothing is encoded in vain. Then Ray Data tokenises parts in tasks
and encodes them in a pool of actors; they come back in order and are written one by one. What a part holds depends on the
input and the settings alone, so a run that was killed and started again ends in the same bytes as one that was not, and one
without Ray (`encoders: 0`) in the same as one with it.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from xlret import monitoring
from xlret.artifacts import locked
from xlret.errors import CorruptError, UserError
from xlret.files import expand_path, flush, local, write_error, write_text
from xlret.model.processor import slow_bfloat16
from xlret.search.passages import Passage
from xlret.search.settings import DType, EncodeSettings
from xlret.search.vectors.fingerprint import about_encoder, encoder_files
from xlret.search.vectors.parts import EncoderWorkers, Part, loaded_here, parts_encoded_here
from xlret.search.vectors.spool import Input, input_file, laid_aside, lay_aside
from xlret.search.vectors.store import (
    Vectors,
    VectorStore,
    open_part,
    part_file,
    stored,
    vectors_of,
    write_manifest,
    write_part,
)
from xlret.storage.url import Url, as_url, is_url

if TYPE_CHECKING:
    from xlret.model.encoder import Encoder

Print = Callable[[str], None]
_MOST_ENCODERS = 8
_PLAN, _INPUT, _LOCK, _PARTS = "plan.json", "input.json", "lock", "store"


class EncodingPlan(BaseModel):
    """All that decides what a store holds, apart from the passages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: dict[str, str]
    """Checksums of its files."""
    tokens_per_batch: int
    precision: Literal["float32", "bfloat16"]
    store: DType
    passages_per_part: int
    gpu: bool
    threads: int


def encode_passages(
    passages: Iterable[Passage],
    encoder: Path,
    out: Path,
    settings: EncodeSettings | None = None,
    *,
    show: Print = print,
    progress: bool = True,
    loaded: "Encoder | None" = None,
    shared: bool = True,
) -> VectorStore:
    """Encodes passages into the directory `out`, which appears when it is whole: with Ray, or without (`encoders: 0`).

    Until then everything is in `OUT.partial`. After a kill, the same call goes on where it stopped (the passages are read
    again, to see that they are the same). A call whose store is there already checks and returns it. Equal texts get equal
    vectors and are encoded once. On a cluster, all machines must see `encoder`.

    Args:
        passages: in an order that is the same at every call; titles are encoded before their texts.
        encoder: directory that `Encoder.save` wrote.
        out: directory to make.
        settings: those left at None are as an earlier start had them, else as the cluster suggests.
        show: where lines for the user go.
        progress: whether to draw a bar.
        loaded: the encoder of that directory where this process has it already; used without Ray alone.
        shared: whether all machines of the cluster see `out`; else texts are read on this one, and encoded on all. Those of a
            URL are laid aside on this machine, and what is whole is uploaded.

    Cost: disk for the texts twice; memory for some parts in each actor and 48 bytes a passage.

    Raises:
        DataError: a bad passage, or one whose vector is not finite or zero; the message names it.
        UserError: other passages, settings or another encoder than those of the earlier start, `out` is something else, another
            process is at it, or the encoder cannot be loaded.
    """
    settings = settings or EncodeSettings()
    directory, out = expand_path(encoder), expand_path(out)
    if is_url(out):
        options: dict[str, Any] = {"show": show, "progress": progress, "loaded": loaded, "shared": False}
        return _at_url(as_url(out), lambda work: encode_passages(passages, encoder, work, settings, **options))
    files = encoder_files(directory)
    work = out.with_name(out.name + ".partial")
    if out.exists():
        store = VectorStore.open(out)
        _refuse_other(store, passages, settings, files, progress)
        show(f"{out} is there already")
        if work.exists():
            with _locked(work):
                shutil.rmtree(work)  # what a run that was killed at its very end has left
        return store
    with _locked(work):
        plan = _read(work / _PLAN, EncodingPlan)
        if plan is not None:
            _check(plan, settings, files, work)
        spooled = _lay_aside(passages, work, plan, settings, progress)
        repeated = f", {spooled.repeated:,} of them with a text that came before" if spooled.repeated else ""
        show(f"{spooled.count:,} passages in {len(spooled.languages)} languages{repeated}")
        if (warning := slow_bfloat16(settings.precision, "precision", gpu=settings.gpu)) is not None:
            show(warning)
        todo = [number for number in range(len(spooled.parts)) if not _done(work, spooled, number)]
        if len(todo) < len(spooled.parts):
            show(f"{len(spooled.parts) - len(todo)} of {len(spooled.parts)} parts are there already")
        if todo:
            with nullcontext() if settings.encoders == 0 else _ray():
                pool = _pool(settings, plan, shared)
                if plan is None:
                    plan = _plan(settings, pool, files)
                    write_text(work / _PLAN, plan.model_dump_json(indent=1) + "\n")
                parts = [Part(number, work / input_file(number), spooled.parts[number].start) for number in todo]
                _write_parts(_encoded(parts, directory, pool, loaded), spooled, work, plan.store, progress)
        assert plan is not None, "a part was encoded without a plan"
        _finish(work, out, spooled, plan, about_encoder(directory, encoder, files, _dimension(work)))
    return VectorStore.open(out, verify=False)


def _at_url(url: Url, encode: Callable[[Path], VectorStore]) -> VectorStore:
    """Encodes on this machine's disk, where an encoding that was interrupted goes on, and uploads what is whole."""
    from xlret.storage.cache import work_path
    from xlret.storage.publish import publish

    work = work_path(url)
    if not work.exists() and url.is_whole():
        return encode(local(url))
    work.parent.mkdir(exist_ok=True)
    encode(work)
    publish(work, url)
    shutil.rmtree(work.parent)
    return VectorStore.open(url, verify=False)


def _refuse_other(
    store: VectorStore, passages: Iterable[Passage], settings: EncodeSettings, files: dict[str, str], progress: bool
) -> None:
    """Raises UserError unless a store that is there is what would be made."""
    try:
        plan = EncodingPlan.model_validate(store.manifest.made_with)
    except ValidationError:
        raise UserError(f"{store.path} exists already, and was not encoded from passages; choose another place") from None
    _check(plan, settings, files, store.path)
    with _bar("reading passages", None, progress) as advance, tempfile.TemporaryDirectory() as empty:
        spooled = lay_aside(
            passages, Path(empty), plan.passages_per_part, known=None, needed=lambda number: False, advance=advance
        )
    if spooled.digest != store.manifest.input:
        raise UserError(f"{store.path} exists already and holds other passages; choose another place or remove it")


def _check(plan: EncodingPlan, settings: EncodeSettings, files: dict[str, str], directory: Path) -> None:
    """Raises UserError where settings or encoder are not those of an earlier start."""
    if plan.encoder != files:
        other = sorted(name for name in {*plan.encoder, *files} if plan.encoder.get(name) != files.get(name))
        raise UserError(
            f"{directory} was begun with another encoder ({', '.join(other)} differ); give that one or remove {directory}"
        )
    for name in EncodingPlan.model_fields.keys() - {"encoder"}:
        given, known = getattr(settings, name), getattr(plan, name)
        if given is not None and given != known:
            raise UserError(
                f"{directory} was begun with {name} {known}, not {given}; give that, or remove {directory} to begin again"
            )


def _lay_aside(
    passages: Iterable[Passage], work: Path, plan: EncodingPlan | None, settings: EncodeSettings, progress: bool
) -> Input:
    """Reads the input; what an earlier start read counts from when it had a plan."""
    known = _read(work / _INPUT, Input) if plan is not None else None
    if known is None:
        for stale in work.glob("input-*.arrow"):
            stale.unlink()
    rows = plan.passages_per_part if plan is not None else settings.passages_per_part

    def needed(number: int) -> bool:
        return known is None or not _done(work, known, number)

    with _bar("reading passages", None, progress) as advance:
        spooled = lay_aside(passages, work, rows, known=known, needed=needed, advance=advance)
    if known is None:
        write_text(work / _INPUT, spooled.model_dump_json() + "\n")
    return spooled


def _done(work: Path, spooled: Input, number: int) -> bool:
    """Whether a part is encoded: it appears when it is whole, but a disk may lose it."""
    path = work / _PARTS / part_file(number)
    try:
        return path.exists() and open_part(path).num_rows == spooled.parts[number].rows
    except CorruptError:
        return False


def _ray() -> AbstractContextManager[None]:
    from xlret.session import ray_session  # a notebook may do without Ray

    return ray_session()


def _pool(settings: EncodeSettings, plan: EncodingPlan | None, shared: bool) -> EncoderWorkers:
    gpu, encoders = settings.gpu, settings.encoders
    if encoders == 0:
        cpus = os.cpu_count() or 1
    else:
        from xlret.search.vectors.workers import cluster

        cpus = cluster(gpu=False)
        encoders = encoders or (cluster(gpu=True) if gpu else min(cpus, _MOST_ENCODERS))
    tokens = 32_768 if gpu else 1_024 if settings.precision == "float32" else 8_192
    return EncoderWorkers(
        encoders=encoders,
        threads=plan.threads if plan else settings.threads or max(1, cpus // max(1, encoders)),
        tasks=settings.tasks,
        gpu=gpu,
        tokens_per_batch=plan.tokens_per_batch if plan else settings.tokens_per_batch or tokens,
        precision=settings.precision,
        shared=shared,
    )


def _plan(settings: EncodeSettings, pool: EncoderWorkers, files: dict[str, str]) -> EncodingPlan:
    return EncodingPlan(
        encoder=files,
        tokens_per_batch=pool.tokens_per_batch,
        precision=settings.precision,
        store=settings.store,
        passages_per_part=settings.passages_per_part,
        gpu=settings.gpu,
        threads=pool.threads,
    )


def _encoded(
    parts: Sequence[Part], directory: Path, pool: EncoderWorkers, loaded: "Encoder | None"
) -> Iterator[tuple[Part, NDArray[np.float32]]]:
    """The parts in their order with their vectors, from here or from Ray."""
    if pool.encoders == 0:
        yield from parts_encoded_here(parts, loaded or loaded_here(directory, pool.gpu), pool)
    else:
        from xlret.search.vectors.workers import encoded_parts

        yield from encoded_parts(parts, directory, pool)


def _write_parts(
    encoded: Iterable[tuple[Part, NDArray[np.float32]]], spooled: Input, work: Path, dtype: DType, progress: bool
) -> None:
    """Writes each part when it comes."""
    (work / _PARTS).mkdir(exist_ok=True)
    starts = np.array([part.start for part in spooled.parts])
    store = work.name.removesuffix(".partial")
    with _bar("encoding", spooled, progress) as advance:
        encoded_rows = sum(part.rows for number, part in enumerate(spooled.parts) if _done(work, spooled, number))
        advance(encoded_rows)
        for part, vectors_UD in encoded:
            passages, first = laid_aside(part.file)
            own = first == np.arange(part.start, part.start + len(first))
            vectors_ND: Vectors = np.empty((len(first), vectors_UD.shape[1]), dtype)
            vectors_ND[own] = stored([passage.id for passage, new in zip(passages, own, strict=True) if new], vectors_UD, dtype)
            repeated = ~own & (first >= part.start)
            vectors_ND[repeated] = vectors_ND[first[repeated] - part.start]
            _take_earlier(vectors_ND, first, starts, part, work)
            write_part(work / _PARTS / part_file(part.number), passages, vectors_ND, spooled.fields)
            part.file.unlink()
            advance(len(first))
            encoded_rows += len(first)
            monitoring.tell("xlret_encode_passages", len(first), store=store)
            monitoring.tell("xlret_encode_share", encoded_rows / spooled.count, store=store)


def _take_earlier(vectors_ND: Vectors, first: NDArray[np.int64], starts: NDArray[np.int64], part: Part, work: Path) -> None:
    """Fills in the vectors of texts that came first in an earlier part."""
    earlier = np.flatnonzero(first < part.start)
    number_of_each = np.searchsorted(starts, first[earlier], side="right") - 1
    for number in np.unique(number_of_each):
        rows = earlier[number_of_each == number]
        vectors_ND[rows] = vectors_of(open_part(work / _PARTS / part_file(int(number))))[first[rows] - starts[number]]


def _dimension(work: Path) -> int:
    return int(vectors_of(open_part(work / _PARTS / part_file(0))).shape[1])


def _finish(work: Path, out: Path, spooled: Input, plan: EncodingPlan, about: dict[str, Any]) -> None:
    """Adds the manifest and moves the whole store to its place."""
    parts = work / _PARTS
    for stray in {path.name for path in parts.iterdir()} - {part_file(number) for number in range(len(spooled.parts))}:
        (parts / stray).unlink()  # half-written by a run that was killed
    write_manifest(
        parts, plan.store, about["dimension"], spooled.languages, spooled.fields, about, plan.model_dump(), spooled.digest
    )
    flush(parts)
    os.rename(parts, out)
    flush(out.parent)
    shutil.rmtree(work)


R = TypeVar("R", bound=BaseModel)


def _read(path: Path, kind: type[R]) -> R | None:
    """What an earlier start has written, if it came that far."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise CorruptError(f"{path} is damaged; remove {path.parent} to begin again") from error


@contextmanager
def _locked(work: Path) -> Iterator[None]:
    """Keeps other processes away from `work`, which is made if need be."""
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(work, error) from error
    with locked(work / _LOCK, f"another process is encoding into {work}; wait for it or choose another place"):
        yield


@contextmanager
def _bar(description: str, spooled: Input | None, progress: bool) -> Iterator[Callable[[int], None]]:
    """A bar to the end of the passages; where their number is not known yet, a count."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not progress) as bar:
        task = bar.add_task(description, total=spooled.count if spooled else None)
        yield lambda count: bar.advance(task, count)
