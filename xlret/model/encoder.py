"""The encoder: a transformer, pooling, an optional projection, L2 norm and a prompt for each side."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from xlret.config import settings_from
from xlret.errors import UserError
from xlret.files import directory_beside, write_json
from xlret.model.adapters import has_adapters, save_merged
from xlret.model.backbone import quiet
from xlret.model.batched import run_batched
from xlret.model.fresh import fresh_parts
from xlret.model.layers import keep_lowest_layers
from xlret.model.model_card import model_card
from xlret.model.packed import check_packable, is_packable, packed_hidden
from xlret.model.parts import Parts
from xlret.model.pooling import pool
from xlret.model.prompts import prompt_of_side
from xlret.model.settings import EncoderOverrides, EncoderSettings, PackedSetting
from xlret.model.sharded import most_of_workers, shard_encoder
from xlret.model.start import PROJECTION, locate, read_parts
from xlret.text.sides import Side
from xlret.tokens.card import CARD, EncoderCard
from xlret.tokens.remembered import remembered_ragged
from xlret.tokens.texts import Tokeniser

_POOLING_KEY = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}


class Encoder(nn.Module):
    """Texts to unit vectors. Queries and passages share all weights and differ in their prompt and length limit.

    A directory that `save` wrote is a sentence-transformers model as well: `encode_query` and `encode_document` give the same
    vectors. Its `encode` with a prompt does not know whose texts it gets and cuts them at the larger limit of the two: where
    limits differ, its vectors of longer texts of the other side do so too, as the saved README.md says.
    """

    def __init__(self, parts: Parts, card: EncoderCard) -> None:
        super().__init__()
        self.backbone = parts.backbone
        self.projection = parts.projection
        self.card = card
        self.exported = parts.exported
        self.keeps_adapters = False
        """Whether adapters, where there are any, are saved by themselves beside the weights that they are merged into."""
        self.packed: PackedSetting = "auto"
        """Whether texts go through the transformer in one row, without padding; see `EncoderSettings.packed`."""
        self.sharded = False
        """Whether its weights are spread over the workers of a run, who then have to encode at the same time."""
        self.tokeniser = Tokeniser(parts.tokenizer, card)
        self._tokenizer_files: Mapping[str, bytes] = {
            "tokenizer.json": (parts.tokenizer.to_str(pretty=True) + "\n").encode(),
            **parts.tokenizer_files,
        }
        self._hidden = int(parts.backbone.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.dimension: int = self._hidden if parts.projection is None else parts.projection.linear.out_features
        """Length of a vector."""
        if card.dimensions and card.dimensions[-1] >= self.dimension:
            raise UserError(
                f"dimensions has {card.dimensions[-1]}, and vectors of this encoder have {self.dimension} numbers; "
                "name lengths below that"
            )

    @property
    def device(self) -> torch.device:
        """Where the weights are; an exported encoder without a dense layer has none of torch's, and runs on CPUs."""
        weight = next(self.parameters(), None)
        return torch.device("cpu") if weight is None else weight.device

    @property
    def packs(self) -> bool:
        """Whether padding is left out of what the transformer computes."""
        return is_packable(self.backbone) and self.device.type == "cpu" if self.packed == "auto" else self.packed

    def forward(self, input_ids_BT: Tensor, attention_mask_BT: Tensor) -> Tensor:
        """Vectors [B, D] of length 1, float32 under autocast too (float64 for a float64 module)."""
        if self.packs and not attention_mask_BT.all():
            hidden_BTD = packed_hidden(self.backbone, input_ids_BT, attention_mask_BT)
        else:
            hidden_BTD = self.backbone(input_ids=input_ids_BT, attention_mask=attention_mask_BT).last_hidden_state
        if hidden_BTD.dtype in (torch.float16, torch.bfloat16):
            hidden_BTD = hidden_BTD.float()
        with torch.autocast(hidden_BTD.device.type, enabled=False):
            vector_BD = pool(self.card.pooling, hidden_BTD, attention_mask_BT)
            if self.projection is not None:
                vector_BD = self.projection(vector_BD)
            return functional.normalize(vector_BD, dim=-1)

    def pack(self, setting: PackedSetting) -> Self:
        """Sets `packed`, and is the encoder itself.

        Raises:
            UserError: true for a transformer that cannot be packed.
        """
        if setting is True:
            check_packable(self.backbone)
        self.packed = setting
        return self

    def shard(self, device: torch.device) -> None:
        """Spreads the weights over the workers of the default process group (see `shard_encoder`)."""
        shard_encoder(self, self.backbone, device)
        self.sharded = True

    def encode(
        self,
        texts: Sequence[str],
        side: Side,
        *,
        tokens_per_batch: int = 8192,
        precision: Literal["float32", "bfloat16"] = "float32",
        progress: str | None = None,
        remember: bool = False,
    ) -> NDArray[np.float32]:
        """Vectors of texts, [N, D], in their order; without dropout, whatever mode the module is in.

        Args:
            texts: N texts; none gives [0, D].
            side: whose prompt and length limit to use.
            tokens_per_batch: padded tokens that go through the model at once. Texts are batched by length, the longest first.
            precision: bfloat16 runs the transformer under autocast.
            progress: a description to draw a progress bar under.
            remember: keep the token ids (not the vectors) for the next encoder of this process with the same tokeniser.

        Raises:
            DataError: a text that UTF-8 cannot hold.
        """
        ids, lengths = remembered_ragged(self.tokeniser, texts, side) if remember else self.tokeniser.ragged(texts, side)
        return self.encode_ragged(ids, lengths, tokens_per_batch=tokens_per_batch, precision=precision, progress=progress)

    def encode_ragged(
        self,
        ids: NDArray[np.int32],
        lengths: NDArray[np.int32],
        *,
        tokens_per_batch: int = 8192,
        precision: Literal["float32", "bfloat16"] = "float32",
        progress: str | None = None,
    ) -> NDArray[np.float32]:
        """As `encode`, of texts that were tokenised elsewhere: their ids one after the other, and the length of each."""
        if precision == "bfloat16" and self.exported:
            raise UserError("an exported encoder computes in what it was exported as; leave precision at float32")
        if not len(lengths):
            return np.empty((0, self.dimension), np.float32)
        training = self.training
        self.eval()
        try:
            half = torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bfloat16")
            # What a sharded layer is put together in is kept for training, where tensors of inference mode are of no use.
            with torch.inference_mode(not self.sharded), torch.no_grad(), half:
                vectors_ND = self.vectors(ids, lengths, tokens_per_batch, to_cpu=True, progress=progress)
        finally:
            self.train(training)
        encoded: NDArray[np.float32] = vectors_ND.float().numpy()
        return encoded

    def vectors(
        self,
        ids: NDArray[np.int32],
        lengths: NDArray[np.int32],
        tokens_per_batch: int,
        *,
        to_cpu: bool = False,
        progress: str | None = None,
    ) -> Tensor:
        """Vectors of N >= 1 tokenised texts in their order, [N, D]; with gradient where it is enabled (see `run_batched`)."""
        columns = [(ids, self.tokeniser.pad_id)]
        return run_batched(
            self,
            columns,
            lengths,
            tokens_per_batch,
            device=self.device,
            to_cpu=to_cpu,
            progress=progress,
            agree=self.agree,
        )

    @property
    def agree(self) -> Callable[[int], int] | None:
        """What `run_batched` is to be told of the number of batches."""
        return most_of_workers if self.sharded else None

    def save(self, directory: Path, *, replace: bool = False) -> None:
        """Writes the encoder as a sentence-transformers directory with safetensors, in one step.

        Raises:
            UserError: the directory exists and `replace` is false, or the disk is full or not writable.
        """
        with directory_beside(directory, replace=replace) as fresh, quiet():
            if has_adapters(self.backbone):
                save_merged(self.backbone, fresh, keep=self.keeps_adapters)
            else:
                self.backbone.save_pretrained(fresh)  # type: ignore[operator]
            for name, content in self._tokenizer_files.items():
                (fresh / name).write_bytes(content)
            card = self.card
            write_json(fresh / CARD, card.model_dump(mode="json"))
            write_json(fresh / "sentence_bert_config.json", _length_limits(card))
            modules = ["Transformer", "Pooling", *([] if self.projection is None else ["Dense"]), "Normalize"]
            paths = ["", *(f"{index}_{kind}" for index, kind in enumerate(modules) if index)]
            write_json(
                fresh / "modules.json", [_module(*module) for module in zip(range(len(modules)), modules, paths, strict=True)]
            )
            modes = {key: mode == card.pooling for mode, key in _POOLING_KEY.items()}
            write_json(fresh / "1_Pooling" / "config.json", {"word_embedding_dimension": self._hidden, **modes})
            if self.projection is not None:
                self.projection.save(fresh / PROJECTION)
            (fresh / paths[-1]).mkdir()
            prompts = {"query": card.query_prompt, "document": card.passage_prompt}
            about = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"}
            write_json(fresh / "config_sentence_transformers.json", about)
            (fresh / "README.md").write_text(model_card(card, self.dimension), encoding="utf-8")

    @classmethod
    def load(cls, name_or_directory: str | Path, *, device: str = "cpu", **overrides: Unpack[EncoderOverrides]) -> "Encoder":
        """The encoder in a directory or of a hub name, whoever saved it; in evaluation mode.

        What the overrides leave open is taken from the encoder's own files, all of which are honoured or refused:

        - one that xlret saved: its card (`xlret.json`), which the files beside it have to agree with;
        - a sentence-transformers directory: `modules.json` and what it names (pooling, dense layer),
          `sentence_bert_config.json` or its kin (`max_seq_length`, `do_lower_case`) and `config_sentence_transformers.json`
          (prompts: `query` for queries, `document`, `passage` or `corpus` for passages, else the default one; a warning tells
          where others are left over);
        - one that `xlret export` made: its card too; ONNX Runtime computes it, on CPUs whatever `device` says;
        - any other: the tokenizer's `model_max_length`; pooling is over the last token for a causal language model, else the
          mean, and there are no prompts.

        No text is longer than the model has positions for, and vectors are normalised whatever the files say.

        Args:
            name_or_directory: a directory as `save`, sentence-transformers or transformers write it, or a name on the hub,
                which is asked only where there is no such directory.
            device: where the weights go, such as `cuda`.
            overrides: what is to differ from the files, by the names of `EncoderSettings`: `pooling`; `query_prompt` and
                `passage_prompt`, or `query_prompt_name` and `passage_prompt_name` among the files' own prompts;
                `max_query_tokens` and `max_passage_tokens` (lowered to what the model has positions for); `dimensions`;
                `packed`.

        Raises:
            UserError: no such directory or hub name, a reranker, custom code, pickled weights, modules or poolings that are
                not supported, a damaged file, an override that is not possible.
        """
        parts = read_parts(locate(name_or_directory))
        own = {name: getattr(parts, name) for name in ("max_query_tokens", "max_passage_tokens", "dimensions")}
        settings = settings_from(EncoderSettings, {"start": str(name_or_directory), **own, **overrides})
        encoder = cls(parts, _card(parts, settings)).to("cpu" if parts.exported else device).eval()
        return encoder.pack(settings.packed)


def start_encoder(settings: EncoderSettings, texts: Callable[[], Iterable[str]] | None, seed: int) -> Encoder:
    """The encoder that a training run begins with, in evaluation mode: `fresh`, or as `Encoder.load` with these settings.

    Length limits that the settings do not name are as the encoder's files say, and at most the settings' defaults: training on
    longer texts costs much and is asked for. `dimensions` are the settings' alone.

    Args:
        texts: called for `fresh` alone, to learn a vocabulary from; None where there are none.
        seed: of fresh weights.

    Raises:
        UserError: the start cannot be used, `fresh` without texts, or `dimensions` that are no shorter than its vectors.
    """
    if settings.start == "fresh":
        parts = fresh_parts(settings.fresh, texts() if texts else (), seed)
    else:
        parts = read_parts(locate(settings.start))
        if parts.exported:
            raise UserError(
                f"encoder.start {settings.start} was exported for inference and cannot be trained; start from the encoder "
                "that it was made from"
            )
        if settings.layers is not None:
            keep_lowest_layers(parts.backbone, settings.layers)
    limits = {"max_query_tokens", "max_passage_tokens"} - settings.model_fields_set
    capped = {name: min(getattr(settings, name), getattr(parts, name)) for name in limits}
    return Encoder(parts, _card(parts, settings.model_copy(update=capped))).eval().pack(settings.packed)


def _card(parts: Parts, settings: EncoderSettings) -> EncoderCard:
    """The card of an encoder made of these parts: as the settings say, and where they say nothing, as the files do."""
    return EncoderCard(
        pooling=settings.pooling or parts.pooling or "mean",
        query_prompt=_prompt(parts, "query", settings.query_prompt, settings.query_prompt_name),
        passage_prompt=_prompt(parts, "passage", settings.passage_prompt, settings.passage_prompt_name),
        max_query_tokens=min(settings.max_query_tokens, parts.positions),
        max_passage_tokens=min(settings.max_passage_tokens, parts.positions),
        pad_id=parts.pad_id,
        cut=parts.cut,
        dimensions=settings.dimensions,
    )


def _prompt(parts: Parts, side: Side, text: str | None, name: str | None) -> str:
    if text is not None:
        return text
    return prompt_of_side(side, parts.prompts, parts.default_prompt_name, name, where=parts.directory or "")


def _length_limits(card: EncoderCard) -> dict[str, int | bool]:
    """`sentence_bert_config.json`: one limit where both sides have the same, which every release reads; else one for each."""
    limits: dict[str, int | bool] = {
        "max_seq_length": max(card.max_query_tokens, card.max_passage_tokens),
        "do_lower_case": False,
    }
    if card.max_query_tokens != card.max_passage_tokens:
        limits |= {"query_length": card.max_query_tokens, "document_length": card.max_passage_tokens}
    return limits


def _module(index: int, kind: str, path: str) -> dict[str, str | int]:
    """One entry of modules.json, with the type names that every release of sentence-transformers reads."""
    return {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
