"""What a training run can be told."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from xlret.batches.negative_languages import NegativeLanguage
from xlret.batches.settings import PlanSettings
from xlret.config import PathSetting, Settings
from xlret.model.losses.settings import TAUGHT, ListLoss, LossSettings
from xlret.model.processor import PrecisionSetting
from xlret.model.settings import EncoderSettings
from xlret.switch.settings import SwitchSettings


class OptimiserSettings(Settings):
    """AdamW, its schedule and what happens to gradients."""

    kind: Literal["adamw", "adamw8bit"] = "adamw"
    """adamw8bit: moments in 8 bits (bitsandbytes), a quarter of their memory, for weights that fit and moments that do not."""
    learning_rate: float = Field(3e-5, gt=0)
    """The highest, after warm-up."""
    weight_decay: float = Field(0.01, ge=0)
    """Of all weights but biases and norms."""
    warmup: float = Field(0.1, ge=0, le=1)
    """Share of the steps over which the learning rate rises from 0."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after warm-up (to 0 for linear and cosine)."""
    clip: float = Field(1.0, gt=0)
    """Largest norm of the whole gradient."""


class RerankerSettings(Settings):
    """How a reranker is trained and measured inside the run; a retriever has no use for it."""

    loss: ListLoss = "pointwise"
    """pointwise: is each passage the query's, by itself (binary cross-entropy). pairwise: is the positive ahead of each
    negative (RankNet). listwise: which of its candidates is the query's (a softmax over them). rank_distillation, margin_mse:
    a teacher's scores of mined hard negatives, as a distribution or as margins."""
    teacher_temperature: float | None = Field(None, gt=0)
    """Of rank_distillation and margin_mse: what the teacher's scores are divided by. None: 1, which goes with a reranker's
    logits; an encoder's cosines need the temperature that it was trained at, and are refused without one."""
    negatives: int = Field(4, ge=0)
    """Passages of other rows of the batch that each query is paired with; `hard_negatives` come on top."""
    dev_negatives: int = Field(15, ge=1)
    """Wrong passages of each list that the dev evaluation ranks."""

    @property
    def is_taught(self) -> bool:
        """Whether a batch has to bring a teacher's scores."""
        return self.loss in TAUGHT


class DevSettings(Settings):
    """Evaluation on held-out groups inside the run; the best checkpoint becomes `model/`.

    A retriever ranks all their passages; a reranker, which reads each pair, ranks short lists (`evaluation/lists.py`).
    """

    corpora: tuple[PathSetting, ...] = ()
    """Prepared corpora of held-out groups; none: no evaluation, and the last weights become `model/`."""
    every: int = Field(100, ge=1)
    """Steps from one evaluation to the next."""
    groups: int = Field(200, ge=1)
    """Groups taken of each dev corpus (one per cluster)."""
    languages: tuple[str, ...] | None = None
    """Only these; all of the corpora by default."""
    beside: bool = False
    """Evaluate in a process of Ray's own, with room of one more worker, while training goes on; the numbers and the best model
    are the same, and are reported at their step when they come. For `ray.workers` of 1 or more; a sweep does without."""
    metric: Literal["mo", "cr", "mul"] = "mul"
    """mAP by which the best checkpoint is chosen: within a language, across languages, or over the pooled corpus."""


class RaySettings(Settings):
    """How the run is spread over a Ray cluster, or that it stays in this process."""

    workers: int = Field(2, ge=0)
    """Training processes (data parallel); the global batch is split evenly over them. 0: train in this process, without Ray;
    the weights are those of one worker."""
    gpu: bool = False
    """One GPU for each worker, NCCL between them; otherwise CPUs and gloo."""
    cpus_per_worker: float = Field(0.5, gt=0)
    """CPUs that Ray reserves for a worker's training."""
    cpus_per_task: float = Field(0.25, gt=0)
    """CPUs that Ray reserves, beside these and on the same node, for the task that assembles the worker's batches."""
    sharding: Literal["none", "fsdp"] = "none"
    """fsdp: workers share one copy of a retriever's weights, gradients and moments (FSDP2), each holding a part, for encoders
    that do not fit into one device's memory. none: each has its own."""
    threads_per_worker: int = Field(1, ge=1)
    """Threads of torch in each worker."""
    steps_per_block: int = Field(32, ge=1)
    """Consecutive steps that one Ray Data task assembles."""
    blocks_ahead: int = Field(4, ge=1)
    """Blocks that are assembled together ahead of the steps that need them."""
    max_failures: int = Field(3, ge=0)
    """How often the run goes on by itself from its last checkpoint after a worker died."""
    least_workers: int | None = Field(None, ge=1)
    """The run goes on with as few workers as this where the cluster has no room for all, on the same batches; a number that
    divides the batch. The weights are then those of the full number to rounding, not bitwise. None: it waits for room."""
    room_s: float = Field(60.0, ge=0)
    """How long it waits for machines to come back before it goes on with fewer workers."""


TrackerName = Literal["mlflow", "wandb"]


class TrainJob(Settings):
    """One training run, from prepared corpora to a trained encoder under `storage/name/`."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """Of the run: its directory below `storage`."""
    storage: PathSetting = Path("runs")
    """Where runs are kept; on a cluster a path that all nodes share, or a URL."""
    model: Literal["retriever", "reranker"] = "retriever"
    """retriever: an encoder with the loss of `loss`. reranker: a cross-encoder with one logit and that of `reranker.loss`."""
    corpora: tuple[PathSetting, ...] = Field(min_length=1)
    """Directories of prepared corpora to train on."""
    steps: int = Field(1000, ge=1)
    """Optimiser steps."""
    seed: int = Field(0, ge=0)
    """Of initial weights and dropout; the batches have `plan.seed`."""
    accumulate: int = Field(1, ge=1)
    """Batches of the plan whose gradients make one optimiser step."""
    precision: PrecisionSetting = "float32"
    """bfloat16: autocast; weights and optimiser stay float32. auto: bfloat16 on GPUs and on CPUs with instructions for it, else
    float32, which is three times as fast there; a run keeps what it began with."""
    tokens_per_forward: int = Field(2048, ge=64)
    """Padded tokens that go through the encoder at once; a batch is sorted by length and cut into such chunks (a packed one
    only where it is cached)."""
    cached: bool = False
    """Of a retriever: hold the activations of `tokens_per_forward` tokens at a time, not of the whole batch, by encoding each
    text twice (GradCache). Loss and gradients are the same; for batches that do not fit into memory otherwise."""
    hard_negatives: int = Field(0, ge=0)
    """Hard negatives for each query, from corpora that hold them."""
    negative_language: NegativeLanguage = "passage"
    """In which language they stand: that of the query's passage; another, drawn; any of the run's, all with equal chance."""
    log_every: int = Field(10, ge=1)
    """Steps from one line of metrics to the next."""
    checkpoint_every: int = Field(100, ge=1)
    """Steps from one checkpoint to the next."""
    keep_checkpoints: int = Field(2, ge=1)
    """How many checkpoints are kept."""
    track: tuple[TrackerName, ...] = ()
    """Trackers that get what the run reports: mlflow, wandb (Weights & Biases). Where to is said by their own environment
    variables; a run that is continued goes on as the same one there."""
    plan: PlanSettings = PlanSettings()
    switch: SwitchSettings = SwitchSettings()
    encoder: EncoderSettings = EncoderSettings()
    loss: LossSettings = LossSettings()
    """Of a retriever."""
    reranker: RerankerSettings = RerankerSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    dev: DevSettings = DevSettings()
    ray: RaySettings = RaySettings()

    @model_validator(mode="after")
    def _even_split(self) -> "TrainJob":
        if self.plan.batch_size % max(1, self.ray.workers):
            raise ValueError(
                f"plan.batch_size {self.plan.batch_size} is not a multiple of ray.workers {self.ray.workers}; make it one"
            )
        if self.ray.least_workers is not None and self.ray.least_workers > self.ray.workers:
            raise ValueError(
                f"ray.least_workers is {self.ray.least_workers}; allowed is 1 to ray.workers, which is {self.ray.workers}"
            )
        if self.switch.objective == "contrast" and self.loss.printed_form:
            raise ValueError(
                "a query's switched copy has no hard negatives, as loss.printed_form needs; set one of the two back"
            )
        return self

    @model_validator(mode="after")
    def _negatives_have_a_say(self) -> "TrainJob":
        if self.negative_language != "passage" and not self.hard_negatives:
            raise ValueError(f"negative_language {self.negative_language} is of hard_negatives, of which there are 0; set them")
        if self.loss.printed_form and not self.hard_negatives:
            raise ValueError("loss.printed_form has hard negatives alone below the line; mine some and set hard_negatives")
        return self

    @model_validator(mode="after")
    def _possible_alignment(self) -> "TrainJob":
        if self.loss.kind == "infonce":
            return self
        if self.model == "reranker":
            raise ValueError(
                f"loss.kind {self.loss.kind} compares vectors, which a reranker has none of; leave it out and set reranker.loss"
            )
        if self.switch.objective == "contrast":
            raise ValueError(f"objective contrast goes with loss.kind infonce, not {self.loss.kind}; set one of the two back")
        if self.loss.has_reranked and not self.hard_negatives:
            raise ValueError(
                f"loss.kind {self.loss.kind} takes over a reranker's scores of hard negatives; mine some (xlret mine) and set "
                "hard_negatives to 1 or more"
            )
        if self.loss.has_teacher and self.encoder.dimensions:
            raise ValueError("a teacher's vectors have one length; leave encoder.dimensions out or choose another loss.kind")
        return self

    @model_validator(mode="after")
    def _half_precision_computes(self) -> "TrainJob":
        if self.encoder.lora.half and self.precision != "bfloat16":
            raise ValueError(f"encoder.lora.half needs precision bfloat16, and precision is {self.precision}")
        return self

    @model_validator(mode="after")
    def _possible_beside(self) -> "TrainJob":
        if self.dev.beside and not self.ray.workers:
            raise ValueError("dev.beside takes a process of Ray's, and ray.workers is 0; set it to false, or ray.workers to 1")
        if self.dev.beside and self.ray.sharding == "fsdp":
            raise ValueError("dev.beside holds a whole model on one device, and ray.sharding fsdp has none; set it to false")
        return self

    @model_validator(mode="after")
    def _possible_sharding(self) -> "TrainJob":
        if self.ray.sharding == "none":
            return self
        if self.ray.workers < 2:
            raise ValueError(
                f"ray.sharding fsdp is for two or more workers, and ray.workers is {self.ray.workers}; set it to none"
            )
        if self.model == "reranker":
            raise ValueError("ray.sharding fsdp is for a retriever; set it to none")
        if self.loss.learned_temperature:
            raise ValueError("loss.learned_temperature is one number, which ray.sharding fsdp cannot share; set it to false")
        if self.optimiser.kind == "adamw8bit" or self.encoder.lora.four_bit:
            raise ValueError(
                "optimiser.kind adamw8bit and encoder.lora.four_bit do not know parts of weights; set ray.sharding to none"
            )
        if self.encoder.lora.half:
            raise ValueError("encoder.lora.half and ray.sharding fsdp were never tried together; set one of the two back")
        return self

    @model_validator(mode="after")
    def _settings_are_of_the_model(self) -> "TrainJob":
        if self.model == "retriever":
            if self.reranker.loss != "pointwise":
                raise ValueError(
                    f"reranker.loss {self.reranker.loss} changes nothing of a retriever; set model to reranker, or loss.kind"
                )
            return self
        # A temperature is no mistake: bases that both kinds are trained from have one.
        plain = LossSettings(temperature=self.loss.temperature)
        odd = sorted(name for name, value in self.loss if value != getattr(plain, name))
        if odd and self.loss.kind == "infonce":
            raise ValueError(
                f"loss.{odd[0]} is a retriever's and changes nothing of a reranker; leave it out and set reranker.loss"
            )
        if not self.reranker.is_taught and self.reranker.teacher_temperature is not None:
            raise ValueError(
                f"reranker.teacher_temperature is of {' and '.join(TAUGHT)}, and reranker.loss is {self.reranker.loss}"
            )
        if self.encoder.packed is True:
            raise ValueError("encoder.packed is true, and rerankers are not packed; leave it out")
        return self

    @model_validator(mode="after")
    def _possible_reranker(self) -> "TrainJob":
        if self.model == "reranker":
            if self.encoder.lora.keep:
                raise ValueError(
                    "adapters by themselves lack a reranker's head, which is trained too; set encoder.lora.keep to false"
                )
            if self.cached:
                raise ValueError("cached is for a retriever, whose loss sees all vectors at once; leave it out")
            if self.switch.objective == "contrast":
                raise ValueError(
                    "objective contrast compares vectors, which a reranker has none of; set switch.objective to replace"
                )
            if self.encoder.dimensions:
                raise ValueError("a reranker has no vectors to cut; leave encoder.dimensions out")
            if not self.reranker.negatives + self.hard_negatives:
                raise ValueError("a reranker needs wrong passages; set reranker.negatives or hard_negatives to 1 or more")
            if self.reranker.is_taught and not self.hard_negatives:
                raise ValueError(
                    f"reranker.loss {self.reranker.loss} takes over a teacher's scores of hard negatives; mine some "
                    "(xlret mine) and set hard_negatives to 1 or more"
                )
            if self.reranker.negatives >= self.plan.batch_size:
                raise ValueError(
                    f"reranker.negatives {self.reranker.negatives} are taken from the other rows of a batch of "
                    f"{self.plan.batch_size}; make them fewer or plan.batch_size larger"
                )
        return self
