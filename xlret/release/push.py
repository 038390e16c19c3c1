"""An encoder on the Hugging Face hub: its own files and nothing else, as one commit, with a card that says what it is."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub import CommitOperationAdd, errors

from xlret.errors import UserError
from xlret.evaluation.intervals import read_results
from xlret.model.card_facts import Training, read_training
from xlret.model.card_files import dimension_of, own_files
from xlret.model.model_card import model_card
from xlret.release.content import check_weights
from xlret.release.quality import read_quality
from xlret.search.vectors.fingerprint import encoder_files
from xlret.tokens.card import read_card

TOKEN = "HF_TOKEN"
CARD_FILE = "README.md"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PRINTED = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class Upload:
    """What is to be uploaded."""

    encoder: Path
    name: str
    """USER/NAME on the hub."""
    files: tuple[str, ...]
    """Paths below `encoder`; the card takes the place of README.md."""
    left_out: tuple[str, ...]
    """What else is in the directory."""
    card: str

    def size(self, file: str) -> int:
        """Bytes of a file as it is uploaded."""
        return len(self.card.encode()) if file == CARD_FILE else (self.encoder / file).stat().st_size


def plan_upload(
    encoder: Path,
    name: str,
    *,
    training: Training | None = None,
    evaluations: Sequence[Path] = (),
    licence: str | None = None,
) -> Upload:
    """Checks an encoder and its evaluations, and writes the card; asks nobody.

    Args:
        encoder: directory that `Encoder.save` wrote.
        name: USER/NAME on the hub.
        training: how it was made, where its own `training.json` is not to say.
        evaluations: directories of `xlret evaluate --out`, of this very encoder as it is.
        licence: the hub's identifier of its licence; by default what is known.

    Raises:
        UserError: the name is none, no encoder of xlret, an evaluation of another encoder.
        CorruptError: weights that are no safetensors.

    Cost: reads every file once where there are evaluations; 2,000 draws of all questions for each metric.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"--to is {name!r}; allowed is USER/NAME, of letters, digits, '-', '_' and '.'")
    if licence is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", licence):
        raise UserError(
            f"--license is {licence!r}; allowed is an identifier of the hub, such as apache-2.0, cc-by-4.0 or other"
        )
    card = read_card(encoder)
    files = [CARD_FILE, *(file for file in own_files(encoder) if file != CARD_FILE)]
    for file in files:
        if file.endswith(".safetensors"):
            check_weights(encoder / file)
    fingerprint = encoder_files(encoder) if evaluations else {}
    results = []
    for evaluation in evaluations:
        read_quality(evaluation, encoder, fingerprint)
        results += read_results(evaluation)
    text = model_card(card, dimension_of(encoder), training or read_training(encoder), results, name=name, licence=licence)
    present = (path.relative_to(encoder).as_posix() for path in encoder.rglob("*") if path.is_file() or path.is_symlink())
    return Upload(encoder, name, tuple(sorted(files)), tuple(sorted(set(present) - set(files))), text)


def push(upload: Upload, *, private: bool = False) -> str:
    """Uploads as one commit and returns its address; the repository is made where there is none.

    Args:
        upload: what `plan_upload` made.
        private: the repository is to be seen by its owner alone; one that is there and public is refused.

    Raises:
        UserError: no HF_TOKEN, a name or token that the hub does not take, a public repository, no hub.
    """
    token = _token()
    api = huggingface_hub.HfApi(token=token)
    try:
        api.create_repo(upload.name, private=True if private else None, exist_ok=True)
        if private and not api.model_info(upload.name).private:
            raise UserError(f"{upload.name} is on the hub already and public; make it private there, or leave --private out")
        operations = [
            CommitOperationAdd(file, upload.card.encode() if file == CARD_FILE else str(upload.encoder / file))
            for file in upload.files
        ]
        commit = api.create_commit(upload.name, operations, commit_message="Encoder by xlret push")
    except UserError:
        raise
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        why = f"does not let the token of {TOKEN} write there ({status})" if status in (401, 403) else _line(error, token)
        raise UserError(f"{upload.name} was not pushed: the hub {why}") from None
    except (OSError, ValueError, RuntimeError, errors.HTTPError) as error:  # type: ignore[attr-defined]
        raise UserError(f"{upload.name} was not pushed: {_line(error, token)}") from None
    return str(commit.commit_url)


def _token() -> str:
    """From the environment alone, so that it is nobody's who is merely logged in on this machine.

    Raises:
        UserError: none, or one with characters that no token has. It is not shown.
    """
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise UserError(f"pushing needs a token that may write, in the environment variable {TOKEN}; see --dry-run without one")
    if not _PRINTED.fullmatch(token):
        raise UserError(f"the environment variable {TOKEN} holds blanks or characters that no token has; set it again")
    return token


def _line(error: BaseException, token: str) -> str:
    """An error and what it came from, in one line and without the token."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and len(causes) < 4:
        causes.append(cause)
    text = ": ".join(dict.fromkeys(str(each).strip().split("\n")[0] for each in causes if str(each).strip()))
    return (text or type(error).__name__).replace(token, "***")
