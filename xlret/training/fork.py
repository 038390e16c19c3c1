"""A run that begins from another run's checkpoint, with other settings: how population-based training copies its best."""

import json
import shutil
from pathlib import Path

from xlret.config import as_yaml
from xlret.errors import UserError
from xlret.files import directory_beside, local, write_text
from xlret.training.checkpoint import checkpoint_path, copy_checkpoint, load_progress, newest_checkpoint
from xlret.training.log import read_lines
from xlret.training.ownership import sole_driver, sole_writer
from xlret.training.settings import TrainJob
from xlret.training.setup import set_up


def fork(parent: Path, job: TrainJob) -> None:
    """Makes the directory of a run that goes on from the newest checkpoint of another; does nothing where it has a checkpoint.

    Weights, optimiser moments, the best model and the reports so far are the parent's; the learning rate and the batches are
    those of `job` from the next step on.

    Args:
        parent: the directory of the other run, which nobody trains meanwhile.
        job: the new run; its model must be of the parent's shape.

    Raises:
        UserError: the parent has no checkpoint, or the settings cannot be used.
    """
    directory = job.storage / job.name
    if newest_checkpoint(directory) is not None:
        return
    checkpoint = newest_checkpoint(parent)
    if checkpoint is None:
        raise UserError(f"{parent} has no checkpoint to go on from; train it first")
    step = load_progress(checkpoint).step
    with sole_driver(directory), sole_writer(directory):
        directory.mkdir(exist_ok=True)
        for name in ("start", "model"):
            if (parent / name).exists():
                with directory_beside(directory / name, replace=True) as fresh:
                    shutil.copytree(local(parent / name), fresh, dirs_exist_ok=True)
        lines = [line for line in read_lines(parent / "metrics.jsonl") if line["step"] <= step]
        write_text(directory / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        write_text(directory / "config.yaml", as_yaml(job))
        task = set_up(job, directory).task
        copy_checkpoint(checkpoint, checkpoint_path(directory, step), task.fingerprint)
