"""The dense layer that some encoders (LaBSE) put after pooling, in sentence-transformers' files."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xlret.errors import UserError

_ACTIVATIONS: dict[str, type[nn.Module]] = {"Tanh": nn.Tanh, "Identity": nn.Identity, "GELU": nn.GELU, "ReLU": nn.ReLU}
_PATHS = {f"torch.nn.{path}{name}": name for name in _ACTIVATIONS for path in ("", "modules.activation.", "modules.linear.")}
_KEYS = {
    "in_features",
    "out_features",
    "bias",
    "activation_function",
    "module_input_name",
    "module_output_name",
    "use_residual",
}


class Projection(nn.Module):
    """A linear layer and an activation: [B, inputs] -> [B, outputs]."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, activation: str = "Tanh") -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=bias)
        self._activation = _ACTIVATIONS[activation]()
        self.activation = activation
        """Its name, as in torch.nn; Identity is none."""

    def forward(self, pooled_BD: Tensor) -> Tensor:
        """The projected vectors, [B, outputs]."""
        projected: Tensor = self._activation(self.linear(pooled_BD))
        return projected

    def save(self, directory: Path) -> None:
        """Writes `config.json` and `model.safetensors` as sentence-transformers' Dense reads them."""
        directory.mkdir()
        package = "linear" if self.activation == "Identity" else "activation"
        config = {
            "in_features": self.linear.in_features,
            "out_features": self.linear.out_features,
            "bias": self.linear.bias is not None,
            "activation_function": f"torch.nn.modules.{package}.{self.activation}",
        }
        (directory / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
        weights = {f"linear.{name}": weight.detach().cpu().contiguous() for name, weight in self.linear.state_dict().items()}
        save_file(weights, directory / "model.safetensors")

    @classmethod
    def load(cls, directory: Path) -> "Projection":
        """Reads what `save` or sentence-transformers wrote.

        Raises:
            UserError: weights that are no safetensors, an activation or option that is not known here, damaged files.
        """
        file = directory / "config.json"
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
            path = config.get("activation_function", "torch.nn.Tanh")
            if (name := _PATHS.get(path)) is None:
                raise UserError(
                    f"{file}: activation_function {path} is not supported; supported are torch.nn's {', '.join(_ACTIVATIONS)}"
                )
            if config.get("use_residual"):
                raise UserError(f"{file}: a dense layer with a residual (use_residual) is not supported")
            for key in ("module_input_name", "module_output_name"):
                if config.get(key) not in (None, "sentence_embedding"):
                    raise UserError(f"{file}: {key} is {config[key]!r}; supported is sentence_embedding")
            if unknown := sorted(config.keys() - _KEYS):
                raise UserError(f"{file}: {unknown[0]} is an option that is not known here")
            layer = cls(config["in_features"], config["out_features"], bias=config.get("bias", True), activation=name)
            layer.load_state_dict({key: weight.float() for key, weight in load_file(directory / "model.safetensors").items()})
        except (OSError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError, json.JSONDecodeError) as error:
            raise UserError(
                f"cannot read the dense layer {directory} (its weights must be model.safetensors): {error}"
            ) from error
        return layer

    @classmethod
    def load_all(cls, directories: Sequence[Path]) -> "Projection | None":
        """One layer that does what those in some directories do one after the other; None where there is none.

        EmbeddingGemma has two, the first without activation: they are multiplied with each other.

        Raises:
            UserError: as `load`, sizes that do not fit, or a layer with an activation that another one follows.
        """
        layers = [cls.load(directory) for directory in directories]
        if not layers:
            return None
        joined = layers[0]
        for directory, layer in zip(directories[1:], layers[1:], strict=True):
            if joined.activation != "Identity" or joined.linear.out_features != layer.linear.in_features:
                raise UserError(
                    f"{directory}: a second dense layer is supported after one without activation (Identity) that gives "
                    f"{layer.linear.in_features} numbers; that has {joined.activation} and gives {joined.linear.out_features}"
                )
            joined = _product(joined.linear, layer)
        return joined


def _product(first: nn.Linear, then: Projection) -> Projection:
    """Both maps as one, in float64 between."""
    last = then.linear
    has_bias = first.bias is not None or last.bias is not None
    product = Projection(first.in_features, last.out_features, bias=has_bias, activation=then.activation)
    with torch.no_grad():
        weight = last.weight.double()
        product.linear.weight.copy_(weight @ first.weight.double())
        if has_bias:
            bias = torch.zeros(last.out_features, dtype=torch.float64)
            bias += 0 if last.bias is None else last.bias
            bias += 0 if first.bias is None else weight @ first.bias.double()
            product.linear.bias.copy_(bias)
    return product
