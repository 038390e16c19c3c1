"""The dense layer that some encoders (LaBSE) put after pooling, in sentence-transformers' files."""

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xlret.errors import UserError

_ACTIVATIONS: dict[str, type[nn.Module]] = {"Tanh": nn.Tanh, "Identity": nn.Identity, "GELU": nn.GELU, "ReLU": nn.ReLU}


class Projection(nn.Module):
    """A linear layer and an activation: [B, inputs] -> [B, outputs]."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, activation: str = "Tanh") -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=bias)
        self._activation = _ACTIVATIONS[activation]()
        self._name = activation

    def forward(self, pooled_BD: Tensor) -> Tensor:
        """The projected vectors, [B, outputs]."""
        projected: Tensor = self._activation(self.linear(pooled_BD))
        return projected

    def save(self, directory: Path) -> None:
        """Writes `config.json` and `model.safetensors` as sentence-transformers' Dense reads them."""
        directory.mkdir()
        config = {
            "in_features": self.linear.in_features,
            "out_features": self.linear.out_features,
            "bias": self.linear.bias is not None,
            "activation_function": f"torch.nn.modules.{'linear' if self._name == 'Identity' else 'activation'}.{self._name}",
        }
        (directory / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
        weights = {f"linear.{name}": one.detach().cpu().contiguous() for name, one in self.linear.state_dict().items()}
        save_file(weights, directory / "model.safetensors")

    @classmethod
    def load(cls, directory: Path) -> "Projection":
        """Reads what `save` or sentence-transformers wrote.

        Raises:
            UserError: weights that are no safetensors, an activation or option that is not known here, damaged files.
        """
        try:
            config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
            name = str(config.get("activation_function", "Tanh")).rsplit(".", 1)[-1]
            if name not in _ACTIVATIONS:
                raise UserError(f"{directory}: activation {name} is not supported; supported are {', '.join(_ACTIVATIONS)}")
            if config.get("use_residual"):
                raise UserError(f"{directory}: a dense layer with a residual is not supported")
            layer = cls(config["in_features"], config["out_features"], bias=config.get("bias", True), activation=name)
            layer.load_state_dict({key: one.float() for key, one in load_file(directory / "model.safetensors").items()})
        except (OSError, KeyError, TypeError, RuntimeError, SafetensorError, json.JSONDecodeError) as error:
            raise UserError(
                f"cannot read the dense layer {directory} (its weights must be model.safetensors): {error}"
            ) from error
        return layer
