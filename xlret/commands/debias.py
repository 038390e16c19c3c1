"""`xlret debias`: what an encoder's vectors say of their language, measured, to be taken out of them."""

from pathlib import Path
from typing import Annotated

from cyclopts import App

from xlret.commands.frame import Flat, new_app
from xlret.config import settings_from
from xlret.evaluation.debias.settings import DebiasSettings

EPILOGUE = """\
examples:
  xlret debias runs/NAME/model mine.json --corpus corpora/mine/train \\
      --dev corpora/mine/dev
  xlret debias runs/NAME/model mine.json --text wiki-1.jsonl.gz --method centre
  xlret debias runs/NAME/model mine.json --corpus corpora/mine/train \\
      --method project --module runs/NAME/debiased
and then
  xlret evaluate --encoder runs/NAME/model --debias mine.json --corpus corpora/mine/test
  xlret index build indexes/wiki --encoder runs/NAME/model --debias mine.json \\
      --passages wiki-1.jsonl.gz

Nothing is trained. Texts in several languages are encoded as passages; from
their means comes what a language does to a vector. Some hundred texts of each
language are enough, and they need not be translations of each other.

methods, of a vector x of a text whose language has the mean m:
  centre          x - alpha m
  shift           x - alpha (m - the average of the languages' m)
  shift-passages  the same, of passages alone
  project         x without the directions that the means span: one linear map,
                  which needs no language; --module writes an encoder that has
                  it as its last layer, for sentence-transformers too

With --dev all are tried on held-out groups, and the best by the mean of Mo, Cr
and Mul is taken; do not choose on what you report.
"""
app: App = new_app("debias", "Find what language does to an encoder's vectors, to take it out.", EPILOGUE)


@app.default
def debias(
    encoder: str,
    out: Path,
    /,
    *,
    settings: Annotated[DebiasSettings | None, Flat] = None,
    module: Path | None = None,
    replace: bool = False,
) -> int:
    """Encodes texts, estimates the language component and writes it to a file.

    Args:
        encoder: a directory saved by xlret or sentence-transformers, or a hub name
        out: file to write
        module: directory for an encoder that takes the directions of project out itself
        replace: replace what is there already
    """
    from xlret.evaluation.debias.make import make_component

    make_component(encoder, out, settings or settings_from(DebiasSettings, {}), module=module, replace=replace)
    return 0
