"""`xlret push`: an encoder onto the Hugging Face hub, with a card that says how it was made and how good it is."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from xlret.commands.frame import new_app
from xlret.files import expand_path, local

EPILOGUE = """\
examples:
  xlret push runs/atlas --to me/atlas --evaluation runs/atlas/dev --dry-run
  HF_TOKEN=$(cat ~/token) xlret push runs/atlas --to me/atlas --private
  xlret push runs/releases/2026-05 --to me/atlas --license cc-by-4.0

What is uploaded, as one commit: the encoder's own files (safetensors, JSON,
tokenizer) and README.md. Nothing else that lies in the directory; of a release
its encoder alone. Files that the repository holds already and the encoder does
not are left there.

README.md is made anew: how to use the encoder; how a run made it (data with
licences and fingerprints, regime, alpha, switching, steps, commit), from its
training.json; metrics with 95 % intervals from the evaluations, also as the
model-index that the hub and MTEB read. The licence is that of the data where
all data has the same and the encoder began from random weights, else `other`.

The token is read from the environment variable HF_TOKEN alone and is never
shown. HF_ENDPOINT names another hub.
"""
app: App = new_app("push", "Upload an encoder to the Hugging Face hub, with its model card.", EPILOGUE)


@app.default
def push(
    source: Annotated[Path, Parameter(help="directory of an encoder, of a run or of a release")],
    /,
    *,
    to: str,
    evaluation: tuple[Path, ...] = (),
    license: str | None = None,
    private: bool = False,
    dry_run: bool = False,
) -> int:
    """Makes the card and uploads.

    Args:
        to: USER/NAME on the hub; the repository is made where there is none
        evaluation: directories of xlret evaluate --out, of this encoder
        license: the hub's identifier of the licence, such as apache-2.0
        private: only the owner is to see it; a public repository is refused
        dry_run: list the files with their sizes, print the card, ask nobody
    """
    from xlret.release.push import plan_upload
    from xlret.release.push import push as push_upload

    encoder, run = _encoder(expand_path(source))
    encoder = local(encoder)
    training = None
    if run is not None and not (encoder / "training.json").is_file():
        from xlret.training.card import training_of

        training = training_of(run)
    evaluations = [expand_path(path) for path in evaluation]
    upload = plan_upload(encoder, to, training=training, evaluations=evaluations, licence=license)
    for file in upload.files:
        print(f"{upload.size(file):>14,}  {file}")
    print(f"{sum(map(upload.size, upload.files)):>14,}  bytes in {len(upload.files)} files")
    for file in upload.left_out:
        print(f"left out: {file}")
    if dry_run:
        print(f"\n{upload.card}", end="")
        return 0
    print(f"pushed: {push_upload(upload, private=private)}")
    return 0


def _encoder(source: Path) -> tuple[Path, Path | None]:
    """The encoder's directory, and the run's where a run is named."""
    from xlret.release import verify_release
    from xlret.release.record import RECORD

    if (source / RECORD).is_file():
        return verify_release(source).encoder, None
    if (source / "run.json").is_file() and (source / "model").is_dir():
        return source / "model", source
    return source, None
