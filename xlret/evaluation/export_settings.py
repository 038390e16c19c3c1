"""Settings of an export."""

from xlret.config import PathSetting, Settings
from xlret.model.export.record import Backend
from xlret.text.languages import LanguageCodes


class ExportSettings(Settings):
    """For what an encoder is exported, and on what it is compared with the original."""

    backend: Backend = "onnx-int8"
    """onnx: ONNX Runtime in float32. onnx-int8: its linear layers in 8 bits, about twice as fast, a little less exact."""
    benchmark: str | None = None
    """Evaluate both on a benchmark, by its name; or else on `corpus`. By default only vectors are compared, of xlret's own
    sentences."""
    data: PathSetting | None = None
    """Directory with the benchmark's published files."""
    corpus: PathSetting | None = None
    """A prepared corpus to evaluate both on."""
    groups: int | None = None
    """At most so many groups of the corpus."""
    languages: LanguageCodes | None = None
    """Only these, as queries and passages."""
