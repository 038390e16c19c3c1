"""What a run that has ended says of the encoder it made: `training.json` and the model card beside the weights."""

import json
from pathlib import Path
from typing import Any

import yaml

from xlret.config import settings_from
from xlret.errors import UserError
from xlret.files import edited_directory, expand_path, write_json, write_text
from xlret.model.card_facts import TRAINING, Training
from xlret.model.card_files import dimension_of
from xlret.model.model_card import model_card
from xlret.switch.settings import SwitchSettings
from xlret.tokens.card import read_card
from xlret.training.settings import TrainJob


def write_training(run_directory: Path) -> None:
    """Writes `training.json` and the card of a finished run's encoder."""
    training = training_of(run_directory)
    with edited_directory(run_directory / "model") as model:
        write_json(model / TRAINING, training.model_dump(mode="json"))
        write_text(model / "README.md", model_card(read_card(model), dimension_of(model), training))


def training_of(run_directory: Path) -> Training:
    """How a run made its encoder, from `run.json` and `config.yaml`.

    Raises:
        UserError: it is no run, or has not ended.
    """
    try:
        run: dict[str, Any] = json.loads((run_directory / "run.json").read_text(encoding="utf-8"))
        settings = yaml.safe_load((run_directory / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{run_directory} is no whole run of xlret train: {error}") from error
    job = settings_from(TrainJob, settings)
    if "finished" not in run:
        raise UserError(f"the run {run_directory} has not ended; go on with xlret train")
    known = ("source", "licence", "revision", "fingerprint", "groups")
    values = {
        "run": run["name"],
        **base_of(job, run.get("base_on_hub", False)),
        "start_weights_sha256": run["start_weights_sha256"],
        "languages": run.get("languages", job.plan.languages or ()),
        "corpora": [{name: corpus[name] for name in known if name in corpus} for corpus in run["corpora"]],
        "how": _how(job, run["finished"]),
        "commit": run["commit"],
    }
    return settings_from(Training, values)


def base_of(job: TrainJob, on_hub: bool) -> dict[str, Any]:
    """The start by its name on the hub, or by the last part of its path: directories are nobody's business."""
    start = job.encoder.start
    name = None if start == "fresh" else start if on_hub else expand_path(Path(start)).name
    return {"base": name, "base_on_hub": name is not None and on_hub}


def _how(job: TrainJob, finished: dict[str, Any]) -> dict[str, str]:
    best = finished["best_metric"]
    chosen = "" if best is None else f"; the best on dev ({job.dev.metric} mAP {best:.4f}) is of step {finished['best_step']:,}"
    plan, alpha = job.plan, job.plan.alpha
    return {
        "batches": plan.regime + (" (monolingual or cross-lingual, drawn)" if plan.regime == "hybrid" else ""),
        **({"alpha, share of monolingual batches": _alpha(alpha)} if plan.regime == "hybrid" else {}),
        "pairs a batch": f"{plan.batch_size:,}" + (f", {job.accumulate} batches a step" if job.accumulate > 1 else ""),
        "code-switching": _switching(job.switch),
        "loss": f"{job.loss.kind}, temperature {job.loss.temperature:g}"
        + (f", {job.hard_negatives} hard negatives a query" if job.hard_negatives else ""),
        "steps": f"{finished['steps']:,}{chosen}",
        "optimiser": f"AdamW, learning rate {job.optimiser.learning_rate:g}, {job.optimiser.schedule}",
        "precision": job.precision,
        "seeds": f"{job.seed}; of the batches {plan.seed}",
    }


def _alpha(alpha: Any) -> str:
    if isinstance(alpha, float | int):
        return f"{alpha:g}"
    return f"{alpha.start:g} to {alpha.end:g} over {alpha.steps:,} steps, {alpha.shape}"


def _switching(switch: SwitchSettings) -> str:
    if switch.policy == "none":
        return "none"
    chance = f"{switch.p[0]:g} to {switch.p[1]:g}" if isinstance(switch.p, tuple) else f"{switch.p:g}"
    into = ", ".join(switch.languages) if switch.languages else "all languages of the lexicons"
    side = {"query": "queries", "passage": "passages", "both": "queries and passages"}[switch.side]
    return f"{switch.policy}, words of {side} with chance {chance} in {switch.rows:.0%} of the rows, into {into}"
