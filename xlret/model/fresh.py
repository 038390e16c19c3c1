"""A small encoder from nothing: a vocabulary learned from texts, and random weights that depend on the seed alone."""

from collections.abc import Iterable

import torch
from torch import nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from xlret.errors import UserError
from xlret.keys import key_of
from xlret.model.backbone import freeze_pooler, saved_files
from xlret.model.parts import Parts
from xlret.model.settings import FreshEncoder
from xlret.tokens.unigram import SPECIAL, train_unigram


def fresh_parts(settings: FreshEncoder, texts: Iterable[str], seed: int) -> Parts:
    """A BERT of the given size and a Unigram tokenizer trained on `texts`. The state of torch's own generator is left alone.

    Raises:
        UserError: `hidden` is no multiple of `heads`, or there are no texts.
    """
    if settings.hidden % settings.heads:
        raise UserError(
            f"encoder.fresh.hidden is {settings.hidden}: it must be a multiple of encoder.fresh.heads, now {settings.heads}"
        )
    tokenizer = train_unigram(texts, settings.vocabulary)
    named = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=settings.max_positions,
        padding_side="right",
    )
    pad_id = SPECIAL.index("[PAD]")
    backbone = fresh_backbone(settings, tokenizer.get_vocab_size(), pad_id, seed)
    limit = settings.max_positions
    return Parts(backbone, tokenizer, saved_files(named), pad_id, limit, limit, limit)


def fresh_backbone(settings: FreshEncoder, vocabulary: int, pad_id: int, seed: int) -> nn.Module:
    """A BERT with random weights, made for training from nothing in minutes.

    No dropout, and standard deviations of 0.02, for positions 0.002: the first vectors are close to a mean of word vectors,
    which is a fair retriever already. On the atlas after 120 steps at 1e-3 (dev mAP within a language / across / pooled) this
    gave .876 / .477 / .334; a deviation of 1/sqrt(width) .662 / .423 / .261, and that with dropout 0.1 .601 / .384 / .228.
    """
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.feed_forward,
        max_position_embeddings=settings.max_positions,
        hidden_act="gelu",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.02,
        pad_token_id=pad_id,
        type_vocab_size=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(key_of(seed, "encoder") % 2**63)
        backbone: nn.Module = BertModel(config)
        freeze_pooler(backbone)
        with torch.no_grad():
            for name, weight in backbone.named_parameters():
                if "position_embeddings" in name or "token_type_embeddings" in name:
                    weight.mul_(0.1)
    return backbone
