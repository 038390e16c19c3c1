"""A transformer cut to its lowest layers: a cheaper encoder to begin from, before anything is distilled."""

from typing import Any

from torch import nn

from xlret.errors import UserError


def keep_lowest_layers(backbone: nn.Module, layers: int) -> None:
    """Takes all but the lowest layers out of a transformer, and says so in its config; its vectors change.

    What is left is faster in proportion and reads texts less well: it is meant to be trained. Embeddings, and the norm after
    the last layer where there is one, stay as they are (the start of a student in Sanh et al. 2019 is made alike).

    Args:
        backbone: a transformer of the `transformers` library; changed in place.
        layers: how many layers stay.

    Raises:
        UserError: it has fewer layers, or none that can be told apart.

    >>> from xlret.model.fresh import fresh_backbone
    >>> from xlret.model.settings import FreshEncoder
    >>> backbone = fresh_backbone(FreshEncoder(layers=3, hidden=16, heads=2, feed_forward=32), 300, 0, 0)
    >>> keep_lowest_layers(backbone, 2)
    >>> len(backbone.encoder.layer), backbone.config.num_hidden_layers
    (2, 2)
    """
    config: Any = backbone.config
    parent, name, stack = stack_of_layers(backbone, "encoder.layers")
    if layers > len(stack):
        raise UserError(f"encoder.layers is {layers}, and the start has {len(stack)} layers; allowed are 1 to {len(stack)}")
    setattr(parent, name, stack[:layers])
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):  # models whose layers differ in kind list them
        config.layer_types = list(config.layer_types)[:layers]


def stack_of_layers(backbone: nn.Module, setting: str) -> tuple[nn.Module, str, nn.ModuleList]:
    """The module that holds a transformer's layers, their name in it, and the layers.

    Raises:
        UserError: they cannot be told apart from the rest, as `setting` needs.
    """
    config: Any = backbone.config
    stacks = [
        (parent, name, stack)
        for parent in backbone.modules()
        for name, stack in parent.named_children()
        if isinstance(stack, nn.ModuleList) and len(stack) == config.num_hidden_layers
    ]
    if len(stacks) != 1:
        raise UserError(f"{setting}: the layers of a {config.model_type} cannot be told apart from the rest; leave it out")
    return stacks[0]
