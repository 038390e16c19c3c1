"""Exporting an encoder and measuring what that changes: cosines of vectors, and figures on retrieval sets."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from xlret.data.atlas.rows import atlas_rows
from xlret.errors import UserError
from xlret.evaluation import report
from xlret.evaluation.evaluate import Evaluation
from xlret.evaluation.export_settings import ExportSettings
from xlret.evaluation.measure import Method, measure
from xlret.evaluation.run import retrieval_sets
from xlret.evaluation.sets import RetrievalSet
from xlret.evaluation.settings import EvaluateSettings
from xlret.files import expand_path, local
from xlret.model.encoder import Encoder
from xlret.model.export.make import export_encoder
from xlret.model.export.record import ALIKE, ExportRecord
from xlret.search.vectors.fingerprint import encoder_files
from xlret.storage.url import is_url
from xlret.text.sides import Side

_TEXTS = 256


def export(
    encoder: Path, out: Path, settings: ExportSettings, *, replace: bool = False, console: Console | None = None
) -> ExportRecord:
    """Exports an encoder, prints how far its vectors agree with the original's and what it does to an evaluation.

    Args:
        encoder: directory that `Encoder.save` wrote.
        out: directory to make.
        settings: for what, and on what to compare.
        replace: whether what is there already gives way.
        console: where to print; standard output by default.

    Raises:
        UserError: one of these cannot be used, or `out` is the encoder itself or in it.
    """
    console = console or Console(highlight=False)
    encoder, out = expand_path(encoder), expand_path(out)
    if _real(out).is_relative_to(_real(encoder)):
        raise UserError(f"{out} is in {encoder}, which stays as it is: an export has no weights to train; choose another place")
    encoder = local(encoder)
    sets: Sequence[RetrievalSet] = ()
    if settings.benchmark is not None or settings.corpus is not None:
        given = settings.model_dump(exclude={"backend"}, exclude_unset=True)
        sets = list(retrieval_sets(EvaluateSettings(**given)))
    record = export_encoder(encoder, out, settings.backend, _texts(sets), made_from=encoder_files(encoder), replace_old=replace)
    cosine = record.agreement
    sizes = [
        sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 1e6 for directory in (encoder, local(out))
    ]
    console.print(f"{out}: {settings.backend}, {sizes[1]:,.0f} MB ({sizes[0]:,.0f} MB before)", markup=False)
    console.print(
        f"cosine with the vectors before, of {cosine.texts} texts: {cosine.mean:.5f} in the mean, {cosine.least:.5f} at least"
        + ("" if cosine.mean >= ALIKE else f"; below {ALIKE}, so it needs an index of its own"),
        markup=False,
    )
    if sets:
        before, after = Encoder.load(encoder), Encoder.load(out)
        for retrieval_set in sets:
            evaluations = [measure(model, retrieval_set, Method()).evaluation for model in (before, after)]
            report.print_rows(*_rows(*evaluations), f"{retrieval_set.name} before and after", console)
    return record


def _real(path: Path) -> Path:
    return path if is_url(path) else path.resolve()


def _texts(sets: Sequence[RetrievalSet]) -> dict[Side, list[str]]:
    if sets:
        return {
            "query": _spread([retrieval_set.query_texts for retrieval_set in sets]),
            "passage": _spread([retrieval_set.passage_texts for retrieval_set in sets]),
        }
    rows = list(atlas_rows("dev"))
    return {
        "query": _spread([[row.query for row in rows if row.query is not None]]),
        "passage": _spread([[row.text for row in rows if row.text is not None]]),
    }


def _spread(columns: Sequence[Sequence[str]]) -> list[str]:
    """Up to 256 of the texts of all columns, at even distances."""
    ends = np.cumsum([len(column) for column in columns])
    rows = np.unique(np.linspace(0, ends[-1] - 1, _TEXTS).astype(np.int64))
    column_of = np.searchsorted(ends, rows, side="right")
    return [columns[column][row - ends[column]] for column, row in zip(column_of.tolist(), rows.tolist(), strict=True)]


def _rows(before: Evaluation, after: Evaluation) -> report.Rows:
    def figures(evaluation: Evaluation) -> dict[str, float]:
        means = {"Mo": evaluation.mo, "Cr": evaluation.cr, "Mul": evaluation.mul}
        return means | {name: evaluation.pooled[name] for name in ("ndcg@10", "mrr@10", "recall@100")}

    old, new = figures(before), figures(after)
    return ["", "before", "after", "change"], [
        [name, report.number(old[name]), report.number(new[name]), f"{new[name] - old[name]:+.4f}"] for name in old
    ]
