"""Making an exported encoder: the transformer as one ONNX file, all other files of the encoder as they are."""

import contextlib
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from xlret.errors import UserError
from xlret.files import directory_beside, write_text
from xlret.model.backbone import quiet
from xlret.model.encoder import Encoder
from xlret.model.export.onnx_backbone import NEEDS, OnnxBackbone
from xlret.model.export.record import EXPORT, ONNX, Agreement, Backend, ExportRecord
from xlret.model.layout import read_cross_encoder_layout
from xlret.model.start import read_parts
from xlret.provenance import versions
from xlret.text.sides import Side

_MOST_BYTES = 1_900_000_000
"""Of weights in float32: one file of protobuf holds 2 GB."""
_PACKAGES = ("xlret", "torch", "transformers", "onnx", "onnxruntime")


def export_encoder(
    source: Path,
    out: Path,
    backend: Backend,
    texts: Mapping[Side, Sequence[str]],
    *,
    made_from: Mapping[str, str],
    replace_old: bool = False,
) -> ExportRecord:
    """Writes an encoder for ONNX Runtime and compares its vectors with the original's.

    Pooling, dense layer, norm, prompts and length limits stay what they are in torch: the file holds the transformer alone.
    `onnx` is float32. `onnx-int8` has the matrices of its linear layers in 8 bits, a scale for each column, and rounds what is
    multiplied with them to 8 bits by a scale that each batch gets when it is computed (dynamic quantisation); attention,
    norms and embeddings stay float32. So with int8 a text's vector depends a little on the batch that it is in.

    Args:
        source: directory that `Encoder.save` wrote.
        out: directory to make.
        backend: what computes it.
        texts: of each side, to compare vectors on; one at least of both together.
        made_from: checksums of the source's files.
        replace_old: whether what is at `out` gives way.

    Raises:
        UserError: a reranker or no encoder at all at `source`, or one that is exported already, `out` exists, ONNX is not
            installed, a transformer that torch cannot export or that is larger than one file can be.
    """
    if read_cross_encoder_layout(source) is not None:
        raise UserError(f"{source} is a reranker; encoders alone are exported, rerankers score with torch")
    parts = read_parts(source)
    if parts.exported:
        raise UserError(f"{source} is exported already; give the encoder that it was made from")
    weights = sum(weight.numel() for weight in parts.backbone.parameters()) * 4
    if weights > _MOST_BYTES:
        raise UserError(f"{source} has {weights / 1e9:.1f} GB of weights, and an ONNX file holds 2 GB; encode with torch")
    original = Encoder.load(source)
    with directory_beside(out, replace=replace_old) as fresh:
        for path in source.iterdir():
            if path.is_dir() and path.name != ONNX.partition("/")[0]:
                shutil.copytree(path, fresh / path.name)
            elif path.is_file() and ".safetensors" not in path.name:
                shutil.copyfile(path, fresh / path.name)
        (fresh / ONNX).parent.mkdir()
        _write_onnx(parts.backbone, fresh / ONNX, backend, source)
        exported = Encoder(replace(parts, backbone=OnnxBackbone(fresh, backend), exported=True), original.card)
        record = ExportRecord(
            backend=backend,
            made_from=dict(made_from),
            positions=parts.positions,
            agreement=agreement(original, exported, texts),
            made_with=versions(_PACKAGES),
        )
        write_text(fresh / EXPORT, record.model_dump_json(indent=1) + "\n")
    return record


def agreement(original: Encoder, exported: Encoder, texts: Mapping[Side, Sequence[str]]) -> Agreement:
    """The cosines between two encoders' vectors of the same texts."""
    cosines_N = np.concatenate(
        [np.sum(original.encode(texts[side], side) * exported.encode(texts[side], side), axis=1) for side in sorted(texts)]
    )
    return Agreement(texts=len(cosines_N), mean=float(cosines_N.mean()), least=float(cosines_N.min()))


class _Tokens(nn.Module):
    """The transformer as a function of two tensors."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden_BTD: Tensor = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return hidden_BTD


def _write_onnx(backbone: nn.Module, file: Path, backend: Backend, source: Path) -> None:
    try:
        import onnxscript  # noqa: F401  # what torch exports with
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise UserError(f"xlret export needs more packages; {NEEDS}") from error
    ids_BT = torch.arange(3 * 9).reshape(3, 9) % backbone.config.vocab_size  # type: ignore[union-attr, operator]
    mask_BT = torch.ones_like(ids_BT)
    mask_BT[1, 5:] = 0
    axes = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens")}
    with _silent(), tempfile.TemporaryDirectory(dir=file.parent) as work:
        whole = Path(work) / "float32.onnx"
        try:
            program = torch.onnx.export(
                _Tokens(backbone).eval(),
                (ids_BT, mask_BT),
                dynamo=True,
                input_names=["input_ids", "attention_mask"],
                output_names=["last_hidden_state"],
                dynamic_shapes=(axes, axes),
                verbose=False,
            )
        except Exception as error:  # the exporter's steps raise what they like
            raise UserError(
                f"torch cannot export the transformer of {source} ({backbone.config.model_type}); encode with torch"  # type: ignore[union-attr]
            ) from error
        assert program is not None, "dynamo gives a program"
        program.save(str(whole), external_data=False)
        if backend == "onnx":
            whole.rename(file)
        else:
            quantize_dynamic(
                whole, file, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True, weight_type=QuantType.QInt8
            )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keeps exporter and quantiser from telling what they skip: what matters is compared afterwards."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), quiet():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
