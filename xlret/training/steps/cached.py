"""A step whose memory does not grow with the batch: vectors first, their gradient after, the encoder again in parts."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from xlret.batches.assemble import Assembled
from xlret.model.batched import run_batched
from xlret.training.steps.retriever import RetrieverStep, joined


class CachedRetrieverStep(RetrieverStep):
    """As `RetrieverStep`, with the same loss and gradients, and the activations of one chunk at a time.

    All texts are encoded without a graph, chunk by chunk. The loss of their vectors, negatives of all workers among them, gives
    the gradient of each vector; then every chunk is encoded again, from the state of the random generators that it had (so
    dropout is the same), and the gradient goes on from its vectors into the weights. A batch needs the memory of one chunk
    (`tokens_per_forward`), of its vectors and of their scores, and a forward pass more (docs/RESULTS.md).

    Source: Gao, Zhang, Han and Callan, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", 2021.
    """

    def distribute(self) -> None:
        """Gradients are averaged by `run` itself: DDP counts on one forward pass before each backward pass."""

    def run(self, batch: Assembled, *, batches: int = 1, sync: bool = True) -> dict[str, float]:
        """See `Step.run`."""
        sides = [side for side in batch.texts if len(side.lengths)]
        ids, lengths_N = joined(sides)
        row_of_token = torch.arange(len(lengths_N)).repeat_interleave(torch.from_numpy(lengths_N)).int().numpy()
        columns = [(ids, self.encoder.tokeniser.pad_id), (row_of_token, 0)]
        states: list[list[Tensor]] = []

        def without_graph(ids_BT: Tensor, row_BT: Tensor, mask_BT: Tensor) -> Tensor:
            states.append(_generator_states(self.device))
            with torch.no_grad():
                return self._encode(ids_BT, mask_BT)

        def with_graph(ids_BT: Tensor, row_BT: Tensor, mask_BT: Tensor) -> Tensor:
            _set_generator_states(self.device, next(again))
            vector_BD = self._encode(ids_BT, mask_BT)
            assert gradient_ND is not None, "backward of the loss left it"
            vector_BD.backward(gradient_ND[row_BT[:, 0]])  # type: ignore[no-untyped-call]
            return vector_BD.detach()

        how: dict[str, Any] = {"device": self.device, "agree": self.encoder.agree}
        vector_ND = run_batched(without_graph, columns, lengths_N, self._tokens_per_forward, **how)
        vector_ND.requires_grad_()
        parts = self.loss_of(batch, list(torch.split(vector_ND, [len(side.lengths) for side in sides])))
        (parts["loss"] / batches).backward()  # type: ignore[no-untyped-call]
        gradient_ND, again = vector_ND.grad, iter(states)
        assert gradient_ND is not None, "a loss depends on its vectors"
        run_batched(with_graph, columns, lengths_N, self._tokens_per_forward, **how)
        if sync and not self.encoder.sharded:  # whose backward passes have averaged already
            self._average_gradients()
        return {name: value.item() for name, value in parts.items()}

    def _encode(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast):
            vector_BD: Tensor = self.encoder(ids_BT, mask_BT)
            return vector_BD

    def _average_gradients(self) -> None:
        """The mean over the workers of what all batches of this optimiser step have added up."""
        if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
            return
        for weight in self.parameters():
            if weight.grad is not None:
                dist.all_reduce(weight.grad)
                weight.grad /= dist.get_world_size()


def _generator_states(device: torch.device) -> list[Any]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _set_generator_states(device: torch.device, states: list[Any]) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
