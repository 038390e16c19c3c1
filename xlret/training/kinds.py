"""What a retriever's run and a reranker's differ in: the model to begin with and the step of its training."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import nn

from xlret.errors import UserError
from xlret.model.adapters import add_adapters
from xlret.model.encoder import Encoder, start_encoder
from xlret.model.losses.contrast import SwitchedContrast
from xlret.model.losses.make import make_loss
from xlret.model.losses.matryoshka import Matryoshka
from xlret.model.processor import resolved
from xlret.model.reranker import Reranker, start_reranker
from xlret.training.settings import TrainJob
from xlret.training.steps.base import Step
from xlret.training.steps.cached import CachedRetrieverStep
from xlret.training.steps.reranker import RerankerStep
from xlret.training.steps.retriever import RetrieverStep


def start_model(job: TrainJob, texts: Callable[[], Iterable[str]]) -> Encoder | Reranker:
    """The model that the run begins with; `texts` are asked for where it has to learn a vocabulary.

    Raises:
        UserError: the start cannot be used.
    """
    if job.model == "retriever":
        return start_encoder(job.encoder, texts, job.seed)
    return start_reranker(job.encoder, texts, job.seed, 1 / (1 + job.reranker.negatives + job.hard_negatives))


def load_step(job: TrainJob, directory: Path, device: torch.device) -> Step:
    """The step of a run's training, with the model that `start_model` gave and that was saved in `directory`."""
    autocast = resolved(job.precision, gpu=job.ray.gpu) == "bfloat16"
    if job.model == "reranker":
        reranker = Reranker.load(directory, device=str(device))
        if job.encoder.lora.rank:
            _adapt(job, reranker)
        _checkpoint_activations(job, reranker.classifier)
        how = job.reranker
        return RerankerStep(
            reranker, job.tokens_per_forward, autocast, how.dev_negatives, how.loss, how.teacher_temperature or 1.0
        ).to(device)
    encoder = Encoder.load(directory, device=str(device), packed=job.encoder.packed)
    if job.encoder.lora.rank:
        add_adapters(encoder.backbone, job.encoder.lora, job.seed)
        encoder.keeps_adapters = job.encoder.lora.keep
    _checkpoint_activations(job, encoder.backbone)
    loss = make_loss(job.loss)
    if job.encoder.dimensions:
        loss = Matryoshka(loss, job.encoder.dimensions)
    loss = SwitchedContrast(loss, job.switch.contrast_weight)  # of batches that bring switched copies
    beside = (job.loss.parallel_sides, job.loss.has_teacher, job.loss.has_reranked)
    kind = CachedRetrieverStep if job.cached else RetrieverStep
    step = kind(encoder, loss, job.tokens_per_forward, autocast, *beside)
    return step.to(device)


def _adapt(job: TrainJob, reranker: Reranker) -> None:
    """Adapters beside the transformer's layers; what stands above them is the head, and is trained as it is."""
    add_adapters(reranker.backbone, job.encoder.lora, job.seed)
    pooler = getattr(reranker.backbone, "pooler", None)
    if pooler is not None:
        pooler.float().requires_grad_(True)


def _checkpoint_activations(job: TrainJob, model: nn.Module) -> None:
    if not job.encoder.gradient_checkpointing:
        return
    if not getattr(model, "supports_gradient_checkpointing", False):
        raise UserError(f"encoder.gradient_checkpointing: {type(model).__name__} has none; set it to false")
    model.activation_checkpointing_enable()  # type: ignore[operator]
