"""The reranker: a transformer that reads a query and a passage together and says with one logit how well they fit."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tokenizers
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor, nn

from xlret.errors import UserError
from xlret.files import directory_beside, write_json
from xlret.keys import key_of
from xlret.model.adapters import has_adapters, save_merged
from xlret.model.backbone import check_ids, load_classifier, load_tokenizer, quiet, tokenizer_files
from xlret.model.batched import run_batched
from xlret.model.fresh import fresh_parts
from xlret.model.layers import keep_lowest_layers
from xlret.model.layout import read_cross_encoder_layout
from xlret.model.parts import Parts
from xlret.model.settings import EncoderSettings
from xlret.model.start import locate, read_directory
from xlret.tokens.card import CARD
from xlret.tokens.pairs import Pair, PairIds, PairTokeniser, RerankerCard, read_reranker_card
from xlret.tokens.texts import read_backend

_TOKENIZER_CONFIG = "tokenizer_config.json"
_LIKENESS = 6.0
"""What attention adds, before the softmax, for a token equal to the one that looks; unlike tokens get about 0."""


class Reranker(nn.Module):
    """Pairs of a query and a passage to logits.

    A directory that `save` wrote is one of transformers (AutoModelForSequenceClassification with one label), and
    `sentence_transformers.CrossEncoder(path).predict(pairs)` gives the same scores: the logits, without a sigmoid.
    """

    def __init__(
        self,
        classifier: nn.Module,
        tokenizer: tokenizers.Tokenizer,
        files: Mapping[str, bytes],
        card: RerankerCard,
    ) -> None:
        """`files` are those of the tokenizer other than `tokenizer.json`."""
        super().__init__()
        self.classifier = classifier
        self.card = card
        self._files: Mapping[str, bytes] = {"tokenizer.json": (tokenizer.to_str(pretty=True) + "\n").encode(), **files}
        self.tokeniser = PairTokeniser(tokenizer, card)

    @property
    def backbone(self) -> nn.Module:
        """The transformer below the head (with BERT's pooler, which is part of the head)."""
        backbone: nn.Module = getattr(self.classifier, str(self.classifier.base_model_prefix))
        return backbone

    def forward(self, ids_BT: Tensor, types_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Logits [B] of padded pairs, float32 under autocast too; float64 where the weights are."""
        types = {"token_type_ids": types_BT} if self.card.types else {}
        logits_B1: Tensor = self.classifier(input_ids=ids_BT, attention_mask=mask_BT, **types).logits
        return logits_B1[:, 0] if logits_B1.dtype == torch.float64 else logits_B1[:, 0].float()

    def logits(self, pairs: PairIds, budget: int) -> Tensor:
        """Logits of pairs in their order, [N], with little padding: sorted by length and cut into chunks.

        Args:
            pairs: what `tokeniser.ragged` gives.
            budget: padded tokens that go through the model at once (at least one pair does).
        """
        device = next(self.parameters()).device
        if not len(pairs.lengths):
            return torch.empty(0, device=device)
        columns = [(pairs.ids, self.card.pad_id), (pairs.types, 0)]
        return run_batched(self, columns, pairs.lengths, budget, device=device)

    def score(
        self,
        pairs: Sequence[Pair],
        *,
        tokens_per_batch: int = 8192,
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> NDArray[np.float32]:
        """How well each passage answers its query: one logit a pair, [N]; without dropout, whatever mode the module is in.

        Scores of one query's passages can be compared; `1 / (1 + exp(-score))` is the probability that training aimed at.

        Args:
            pairs: N pairs of a query and a passage; none gives [0].
            tokens_per_batch: padded tokens that go through the model at once.
            precision: bfloat16 runs the transformer under autocast.

        Raises:
            DataError: a text that UTF-8 cannot hold.
        """
        ids = self.tokeniser.ragged(pairs)
        device = next(self.parameters()).device
        training = self.training
        self.eval()
        try:
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                scores: NDArray[np.float32] = self.logits(ids, tokens_per_batch).float().cpu().numpy()
        finally:
            self.train(training)
        return scores

    def save(self, directory: Path, *, replace: bool = False) -> None:
        """Writes the reranker as a directory of transformers with safetensors, in one step; adapters added to its weights.

        Raises:
            UserError: the directory exists and `replace` is false, or the disk is full or not writable.
        """
        with directory_beside(directory, replace=replace) as fresh, quiet():
            if has_adapters(self.classifier):
                save_merged(self.classifier, fresh, keep=False)
            else:
                self.classifier.save_pretrained(fresh)  # type: ignore[operator]
            for name, content in self._files.items():
                (fresh / name).write_bytes(content)
            write_json(fresh / CARD, self.card.model_dump(mode="json"))

    @classmethod
    def load(cls, name_or_directory: str | Path, *, device: str = "cpu", max_tokens: int | None = None) -> "Reranker":
        """The reranker in a directory or of a hub name, whoever saved it; in evaluation mode.

        One that xlret saved is as its card (`xlret.json`) says. Any other cross-encoder of one logit is read as transformers
        or sentence-transformers saved it, with pairs as long as its files say; scores are its logits, whatever activation it
        names.

        Args:
            name_or_directory: a directory, or a name on the hub, which is asked only where there is no such directory.
            device: where the weights go, such as `cuda`.
            max_tokens: tokens kept of a pair, special tokens included; None: as its files say. No more than those.

        Raises:
            UserError: no such directory or hub name, not a reranker, custom code, pickled weights or a damaged file.
        """
        directory = locate(name_or_directory)
        if (directory / CARD).is_file():
            card, classifier = read_reranker_card(directory), load_classifier(directory)
            tokenizer, files = read_backend(directory), tokenizer_files(directory)
            check_ids(classifier, tokenizer, card.pad_id, directory)
            if max_tokens is not None:
                card = card.model_copy(update={"max_tokens": min(max_tokens, card.max_tokens)})
            return cls(classifier, tokenizer, files, card).to(device).eval()
        layout = read_cross_encoder_layout(directory)
        if layout is None:
            raise UserError(
                f"{directory} is not a reranker: its config.json names no ...ForSequenceClassification; "
                "train one from it with model: reranker"
            )
        parts = read_directory(directory, layout)
        classifier, types = _own_head(layout.transformer)
        return _reranker(parts, classifier, types, max_tokens or parts.max_passage_tokens).to(device)


def start_reranker(
    settings: EncoderSettings, texts: Callable[[], Iterable[str]] | None, seed: int, positives: float = 0.2
) -> Reranker:
    """The reranker that a training run begins with, in evaluation mode.

    `start` may be `fresh`, an encoder (such as a trained retriever), which gets a new head, or a cross-encoder with one logit,
    which keeps its own; as a directory or a hub name. Pairs are cut to `max_query_tokens + max_passage_tokens`, or to what the
    model has positions for. Pooling and prompts have no say.

    Args:
        texts: called for `fresh` alone, to learn a vocabulary from; None where there are none.
        seed: of fresh weights; the head's too.
        positives: share of right pairs in training. A fresh head begins with that probability for all.

    Raises:
        UserError: the start cannot be used, or `fresh` without texts.
    """
    if settings.start == "fresh":
        parts = fresh_parts(settings.fresh, texts() if texts else (), seed)
        classifier, types = _with_head(parts, seed, positives)
        _ready_to_compare(classifier, seed)
    else:
        directory = locate(settings.start)
        layout = read_cross_encoder_layout(directory)
        parts = read_directory(directory, layout)
        classifier, types = _own_head(layout.transformer) if layout else _with_head(parts, seed, positives)
        if settings.layers is not None:
            keep_lowest_layers(classifier, settings.layers)
    return _reranker(parts, classifier, types, settings.max_query_tokens + settings.max_passage_tokens)


def _reranker(parts: Parts, classifier: nn.Module, types: bool, max_tokens: int) -> Reranker:
    """A reranker of these parts, in evaluation mode, whose files tell other tools what its card tells xlret."""
    card = RerankerCard(max_tokens=min(max_tokens, parts.max_passage_tokens), pad_id=parts.pad_id, types=types, cut=parts.cut)
    about = json.loads(parts.tokenizer_files.get(_TOKENIZER_CONFIG, b"{}"))
    about |= {"model_max_length": card.max_tokens, "truncation_side": card.cut}
    about["model_input_names"] = ["input_ids", *(["token_type_ids"] if types else []), "attention_mask"]
    files = {**parts.tokenizer_files, _TOKENIZER_CONFIG: (json.dumps(about, ensure_ascii=False, indent=2) + "\n").encode()}
    config: Any = classifier.config
    config.pad_token_id = parts.pad_id
    as_they_are = "torch.nn.modules.linear.Identity"  # a sigmoid would make large logits equal
    config.sentence_transformers = {"version": version("sentence-transformers"), "activation_fn": as_they_are}
    return Reranker(classifier, parts.tokenizer, files, card).eval()


def _own_head(directory: Path) -> tuple[nn.Module, bool]:
    """A classifier with the head that it was saved with, and whether it is told which tokens are the query's."""
    classifier = load_classifier(directory)
    told = "token_type_ids" in load_tokenizer(directory).model_input_names
    return classifier, told and _kinds_of_tokens(classifier) > 1


def _with_head(parts: Parts, seed: int, positives: float) -> tuple[nn.Module, bool]:
    """The backbone with a fresh head of one logit, and whether it is told which tokens are the query's.

    The state of torch's own generator is left alone.
    """
    config: Any = parts.backbone.config
    config.num_labels = 1
    with torch.random.fork_rng(devices=[]), quiet():
        torch.default_generator.manual_seed(key_of(seed, "reranker") % 2**63)
        try:
            classifier: Any = transformers.AutoModelForSequenceClassification.from_config(config)
        except ValueError as error:
            raise UserError(f"a {config.model_type} cannot be made a reranker; start from a BERT or XLM-RoBERTa") from error
    inner = getattr(classifier, classifier.base_model_prefix)
    report = inner.load_state_dict(parts.backbone.state_dict(), strict=False)
    odd = [name for name in (*report.missing_keys, *report.unexpected_keys) if not name.startswith("pooler.")]
    assert not odd, f"the classifier's {config.model_type} has other weights: {odd[:3]}"
    # From a bias of 0 the first steps would only learn that most pairs are wrong, through every weight there is.
    head = [module for module in classifier.modules() if isinstance(module, nn.Linear)][-1]
    nn.init.constant_(head.bias, math.log(positives / (1 - positives)))
    told = max(parts.tokenizer.encode("a", "a").type_ids) > 0
    if told and _kinds_of_tokens(classifier) == 1:
        _add_second_kind(classifier, seed)
    return classifier, told and _kinds_of_tokens(classifier) > 1


def _ready_to_compare(classifier: nn.Module, seed: int) -> None:
    """Attention that compares words and passes on what it finds, in place of BERT's small random one.

    Keys equal queries, so that tokens look at tokens like themselves, which are in the other text where the texts share words;
    and what a token takes from others is as large as what it has itself, not a twentieth of it. From BERT's weights training
    stands still for hundreds of steps: next to nothing of the comparison reaches the first token, whose vector is judged.
    docs/LOG.md has the numbers.
    """
    config: Any = classifier.config
    width, head = config.hidden_size, config.hidden_size // config.num_attention_heads
    alike = (_LIKENESS / (width * head**0.5)) ** 0.5  # tokens' vectors have length sqrt(width) after their norm
    random = torch.Generator().manual_seed(key_of(seed, "like tokens") % 2**63)
    with torch.no_grad():
        for name, module in classifier.named_modules():
            inner: Any = module
            if name.endswith("attention.self"):
                inner.query.weight.copy_(alike * torch.randn(width, width, generator=random))
                inner.key.weight.copy_(inner.query.weight)
                inner.value.weight.mul_(width**-0.5 / config.initializer_range)  # now it keeps the length of a vector
            elif name.endswith("attention.output"):
                inner.dense.weight.mul_(width**-0.5 / config.initializer_range)


def _kinds_of_tokens(classifier: nn.Module) -> int:
    """How many kinds of tokens (query's, passage's) a model tells apart; 0 where it has no notion of them."""
    return int(getattr(classifier.config, "type_vocab_size", 0))


def _add_second_kind(classifier: nn.Module, seed: int) -> None:
    """Gives a model that knows one kind of token a second one, near the first, for the passage's part of a pair."""
    config: Any = classifier.config
    embeddings: Any = getattr(classifier, str(classifier.base_model_prefix)).embeddings
    first_1D = embeddings.token_type_embeddings.weight.detach()
    random = torch.Generator().manual_seed(key_of(seed, "second kind") % 2**63)
    second_1D = first_1D + 0.005 * torch.randn(first_1D.shape, generator=random)
    embeddings.token_type_embeddings = nn.Embedding(2, first_1D.shape[1], _weight=torch.cat([first_1D, second_1D]))
    config.type_vocab_size = 2
