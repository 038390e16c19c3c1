"""A transformer that ONNX Runtime computes, in the place of one of torch."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig
from transformers.modeling_outputs import BaseModelOutput

from xlret.errors import UserError
from xlret.model.backbone import first_line
from xlret.model.export.record import EXPORT, ONNX, Backend
from xlret.model.processor import instructions

NEEDS = "it needs ONNX Runtime: pip install 'xlret[onnx]'"
_INT8 = {"avx512_vnni", "avx_vnni", "amx_int8", "i8mm", "asimddp"}


class OnnxBackbone(nn.Module):
    """The transformer of an exported encoder, on CPUs. It cannot be trained.

    Its threads are as many as torch has when it is called; a change of their number loads it again.
    """

    def __init__(self, directory: Path, backend: Backend) -> None:
        super().__init__()
        if not (directory / ONNX).is_file():
            raise UserError(f"{directory} holds no {ONNX}; export the encoder again")
        self.directory, self.backend = directory, backend
        self.config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        self._threads, self._session = 0, None
        self._session_of(torch.get_num_threads())  # a damaged file shows at once
        if backend == "onnx-int8" and not (instructions() or _INT8) & _INT8:
            warnings.warn(
                f"{directory}: this processor has no instructions for products of 8 bits, so int8 is slower here and may be "
                "less exact than where it was exported; export the encoder as onnx",
                stacklevel=2,
            )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> BaseModelOutput:
        """Vectors of tokens [B, T, D], float32, of ids and mask [B, T], int64."""
        inputs = {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()}
        [hidden_BTD] = self._session_of(torch.get_num_threads()).run(None, inputs)
        return BaseModelOutput(last_hidden_state=torch.from_numpy(hidden_BTD))

    def get_input_embeddings(self) -> nn.Embedding:
        """A table of the size of the transformer's, without memory behind it."""
        return nn.Embedding(self.config.vocab_size, self.config.hidden_size, device="meta")

    def save_pretrained(self, directory: Path) -> None:
        """Copies the export's own files."""
        (directory / ONNX).parent.mkdir()
        for name in ("config.json", EXPORT, ONNX):
            shutil.copyfile(self.directory / name, directory / name)

    def _session_of(self, threads: int) -> Any:
        if self._session is None or threads != self._threads:
            self._threads, self._session = threads, _session(self.directory / ONNX, threads)
        return self._session


def _session(file: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{file.parent.parent} is an exported encoder; {NEEDS}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Threads that wait by spinning take processors from everybody else: beside other work it was slower (docs/LOG.md).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has an error class for each status, none of them with a common public base
        raise UserError(f"cannot load {file}: {first_line(error)}; export the encoder again") from error
