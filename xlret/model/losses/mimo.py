"""A teacher's space for all languages, and its distillation mixed with contrast over translations (MIMO)."""

import torch
from torch import Tensor, nn

from xlret.errors import UserError
from xlret.model.losses.base import Embeddings
from xlret.model.losses.rows import mean_of_rows, unit
from xlret.model.losses.xlco import Xlco


class TeacherCosine(nn.Module):
    """How far texts are from a teacher's vector of the pivot text of their group: 1 - cosine, the mean over rows and texts.

    A text and its translation are both drawn to the one vector that the teacher gave to the group's text in the pivot language.
    So the student takes the teacher's space, its answers near their questions, into every language. Rows whose group has no
    text in the pivot language do not count.

    Inputs: `Embeddings` with `teacher_query_bD`, `teacher_passage_bD` or both, as long as the student's vectors;
    translations are drawn along where they are known.
    Cost: b x D numbers; nothing is sent between processes but counts.
    Source: stage 1 of MIMO (arXiv 2605.31171); with squared distances in place of cosines it is multilingual distillation
    (Reimers and Gurevych, EMNLP 2020).

    >>> student, teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    >>> batch = Embeddings(student, student, torch.tensor([0, 1]), teacher_query_bD=teacher)
    >>> TeacherCosine().from_embeddings(batch)["loss"].item()  # cosines 1 and 0
    0.5
    """

    def from_embeddings(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """See `Loss.from_embeddings`.

        Raises:
            UserError: the batch has no teacher's vectors, or they are of another length than the student's.
        """
        losses = []
        for text_bD, translations, teacher_bD in (
            (embeddings.query_bD, embeddings.parallel_query, embeddings.teacher_query_bD),
            (embeddings.passage_bD, embeddings.parallel_passage, embeddings.teacher_passage_bD),
        ):
            if teacher_bD is None:
                continue
            if teacher_bD.shape != text_bD.shape:
                raise UserError(
                    f"the teacher's vectors have {teacher_bD.shape[1]} numbers, the encoder's {text_bD.shape[1]}; cosines need "
                    "as many: choose another loss.teacher or encoder.start"
                )
            with torch.autocast(text_bD.device.type, enabled=False):
                read_b = teacher_bD.abs().sum(dim=1) > 0
                losses.append(_distance(text_bD, teacher_bD, read_b, embeddings.weight_b))
                if translations is not None:
                    known_b = read_b & translations.known_b
                    losses.append(_distance(translations.vector_bD, teacher_bD, known_b, embeddings.weight_b))
        if not losses:
            raise UserError("loss.kind mimo needs a teacher's vectors, which this batch has none of; set loss.teacher")
        return {"loss": torch.stack(losses).mean()}

    forward = from_embeddings


class Mimo(nn.Module):
    """Distillation of a teacher (`TeacherCosine`) and contrast over translations (`Xlco`), weighted.

    The distillation aligns, the contrast keeps vectors spread out. A share of 1 is the paper's first stage.

    Inputs: what the two need. Parts: `distillation` and `contrast`, unweighted.
    Cost: that of `Xlco`; with share 1 nothing is contrasted.
    Source: MIMO (Jang, Hong and Lim, arXiv 2605.31171): 0.8 and 0.2, batches of 2,048, scale 20 (temperature 0.05).
    """

    def __init__(self, temperature: float, distillation_share: float) -> None:
        super().__init__()
        self.distillation, self.contrast = TeacherCosine(), Xlco(temperature)
        self.distillation_share = distillation_share

    def from_embeddings(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """See `Loss.from_embeddings`.

        Raises:
            UserError: as of `TeacherCosine` and `Xlco`.
        """
        distillation = self.distillation.from_embeddings(embeddings)["loss"]
        if self.distillation_share == 1:
            return {"loss": distillation, "distillation": distillation.detach()}
        contrast = self.contrast.from_embeddings(embeddings)["loss"]
        share = self.distillation_share
        loss = share * distillation + (1 - share) * contrast
        return {"loss": loss, "distillation": distillation.detach(), "contrast": contrast.detach()}

    forward = from_embeddings


def _distance(text_bD: Tensor, teacher_bD: Tensor, known_b: Tensor, weight_b: Tensor | None) -> Tensor:
    student_bD = unit(text_bD)
    return mean_of_rows(1 - (student_bD * unit(teacher_bD).to(student_bD)).sum(dim=1), known_b, weight_b)
