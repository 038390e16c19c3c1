"""An encoder whose last layer takes language directions out, so that whoever loads it gets vectors without them."""

from copy import copy

import torch

from xlret.errors import UserError
from xlret.model.debias.component import LanguageComponent
from xlret.model.encoder import Encoder
from xlret.model.projection import Projection


def with_projection(encoder: Encoder, component: LanguageComponent) -> Encoder:
    """The same encoder with a last dense layer that projects the component's directions out of every text's vector.

    Saved, it is a sentence-transformers directory with a `Dense` module before `Normalize`: no bias and no activation, so it
    does not matter that it stands before the vectors get length 1. A dense layer without activation that the encoder has
    already is multiplied with it. Where vectors may be cut (`dimensions`), the whole ones are free of the directions.

    Args:
        encoder: stays as it is; the two share their transformer.
        component: by the method `project`, made with this encoder.

    Raises:
        UserError: a component of another method or dimension, or an encoder that ends in a dense layer with an activation.
    """
    if component.method != "project":
        raise UserError(
            f"{component.method} is no linear map of the vectors alone, so no encoder can carry it; give it to "
            "xlret index build --debias, or choose the method project"
        )
    if component.dimension != encoder.dimension:
        raise UserError(
            f"the language directions have {component.dimension} numbers, and the encoder's vectors {encoder.dimension}; "
            "make them with this encoder"
        )
    directions_KD = torch.tensor(component.directions, dtype=torch.float64)
    weight_DD = torch.eye(component.dimension, dtype=torch.float64) - directions_KD.T @ directions_KD
    bias_D = None
    if encoder.projection is not None:
        if encoder.projection.activation != "Identity":
            raise UserError(
                f"the encoder ends in a dense layer with {encoder.projection.activation}, which another cannot be put after; "
                "let the index carry the directions: xlret index build --debias FILE"
            )
        last = encoder.projection.linear
        bias_D = None if last.bias is None else weight_DD @ last.bias.detach().cpu().double()
        weight_DD = weight_DD @ last.weight.detach().cpu().double()
    projection = Projection(weight_DD.shape[1], weight_DD.shape[0], bias=bias_D is not None, activation="Identity")
    weights = {"weight": weight_DD.float()} | ({} if bias_D is None else {"bias": bias_D.float()})
    projection.linear.load_state_dict(weights)
    projected = copy(encoder)
    projected._modules = dict(encoder._modules)  # or the first encoder would get the new layer too
    projected.projection = projection.to(encoder.device)
    return projected.eval()
