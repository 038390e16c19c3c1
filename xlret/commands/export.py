"""`xlret export`: an encoder for a faster inference engine, and how well it agrees with the original."""

from pathlib import Path
from typing import Annotated

from cyclopts import App

from xlret.commands.frame import Flat, new_app
from xlret.config import settings_from
from xlret.evaluation.export_settings import ExportSettings

EPILOGUE = """\
examples:
  xlret export runs/NAME/model runs/NAME/int8
  xlret export runs/NAME/model runs/NAME/int8 --benchmark xquad-r \\
      --data ../shared/data/xquad-r --languages en de
and then
  xlret evaluate --encoder runs/NAME/int8 --corpus corpora/mine/dev
  xlret index search runs/NAME/index "a question" --encoder runs/NAME/int8
  xlret release make 2026-07 --encoder runs/NAME/int8 --index runs/NAME/index

What is made is an encoder's directory like any other: evaluate, index, release
and serve take it. It runs on CPUs and cannot be trained.

An index keeps the vectors of one encoder: nothing can be appended to it with
another, an export of its own included. Questions may come from an export of
that encoder (or the other way round) where the cosine that is printed here is
.98 or more in the mean. Neither prompts nor limits may differ.
"""
app: App = new_app("export", "Make an encoder for a faster inference engine (ONNX Runtime, int8).", EPILOGUE)


@app.default
def export(
    encoder: Path, out: Path, /, *, settings: Annotated[ExportSettings | None, Flat] = None, replace: bool = False
) -> int:
    """Exports an encoder and prints how well it agrees with the original.

    Args:
        encoder: directory of an encoder that xlret saved
        out: directory to make
        replace: replace what is there already
    """
    from xlret.evaluation.export import export as make

    make(encoder, out, settings or settings_from(ExportSettings, {}), replace=replace)
    return 0
