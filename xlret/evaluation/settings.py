"""What an encoder is evaluated on, and how: settings that need no torch to be read."""

from typing import cast

from pydantic import Field, field_validator, model_validator

from xlret.config import PathSetting, Settings
from xlret.data.rows import BadRowPolicy
from xlret.errors import UserError
from xlret.evaluation.baselines.bm25 import Statistics
from xlret.evaluation.benchmarks import benchmark
from xlret.evaluation.named_measures import NamedMeasure, named_measures
from xlret.evaluation.pools import Pool
from xlret.evaluation.switched_queries import Policy
from xlret.model.processor import PrecisionSetting
from xlret.model.settings import EncoderOverrides
from xlret.search.balance import Balance
from xlret.text.languages import LanguageCodes, language


class EvaluateSettings(Settings):
    """What an encoder is evaluated on, and how its texts are encoded."""

    benchmark: str | None = None
    """One of the benchmarks by name; or else `corpus`."""
    data: PathSetting | None = None
    """Directory with the benchmark's published files, or your own for `custom`."""
    hub: bool = False
    """Fetch the files from the Hugging Face hub instead, at the commit that the benchmark names; choose `languages` with it."""
    hub_revision: str | None = None
    """Another commit of the hub."""
    split: str = "test"
    """Which judgements of `custom`, where there are several."""
    lang: str | None = None
    """Language of the texts of `custom` that do not say theirs in a field `lang`."""
    passage_lang: str | None = None
    """Language of such passages where it is another."""
    on_bad_row: BadRowPolicy = "error"
    """Whether bad rows of `custom` are an error, or (`skip`) left out and counted."""
    corpus: PathSetting | None = None
    """A prepared corpus, as its own benchmark."""
    measure: tuple[str, ...] = ()
    """Measures to take besides, by their names in ir_measures, such as nDCG@20 or AP(rel=2)@100."""
    groups: int | None = Field(None, ge=1)
    """At most so many groups of the corpus."""
    languages: LanguageCodes | None = None
    """Only these, as queries and passages; all by default."""
    switch_queries: PathSetting | None = None
    """A lexicon to code-switch all queries with, each word with the chance `switch_p`: the same queries for everybody."""
    switch_policy: Policy = "ml"
    """ml: each word draws its own language; bl: all words of a query go to one."""
    switch_languages: LanguageCodes | None = None
    """Languages that words go to; all of the lexicon by default."""
    switch_p: float = Field(0.5, gt=0, le=1)
    """Chance of a word to be switched."""
    baseline: Statistics | None = None
    """A ranking without an encoder: BM25 with statistics of each language, or of all together. With an encoder: both, fused."""
    run: PathSetting | None = None
    """A TREC run to measure, whoever made it; for several sets a directory with SET.run.trec. Beside others: fused. A reranker
    orders the best of it, or of what was fused."""
    pool: Pool | None = None
    """mono: a set for each language alone; cross: one for each pair; pooled: one of all. By default as published."""
    held_out: LanguageCodes = ()
    """Languages that the encoder was not trained on; shown by themselves."""
    query_prompt: str | None = None
    """Text before each query; by default as the encoder says."""
    passage_prompt: str | None = None
    """The same for passages."""
    query_prompt_name: str | None = None
    """One of the prompts that the encoder's files name, in place of the one that is for queries by its name."""
    passage_prompt_name: str | None = None
    """The same for passages."""
    max_query_tokens: int | None = Field(None, ge=4)
    """None: what the encoder's files say. LAReQA was published with 96, and 256 for passages."""
    max_passage_tokens: int | None = Field(None, ge=4)
    """The same for passages."""
    precision: PrecisionSetting = "float32"
    """Of encoding; bfloat16 is faster on GPUs and on processors with instructions for it, and slower on others. auto: the
    faster one."""
    tokens_per_batch: int = Field(8192, ge=1)
    """Padded tokens that go through the encoder at once."""
    vectors: PathSetting | None = None
    """Directory that keeps vectors by encoder and texts: a second evaluation encodes nothing, and pools of more than 200,000
    passages are searched from it in blocks. Encoding goes on where it was stopped; an index can be built of it."""
    encoders: int = Field(0, ge=0)
    """Ray workers that encode passages into `vectors`; 0: this process alone."""
    index: PathSetting | None = None
    """An index of exactly these passages, searched in place of all of them: numbers are of its 1,000 hits a query, at least."""
    run_depth: int = Field(1000, ge=0)
    """Passages of each query in run.trec; 0 writes none. XQuAD-R to depth 1000 takes 800 MB."""
    balance: Balance = "none"
    """How rankings over several languages are balanced, see `xlret.search.balance`."""
    calibration: PathSetting | None = None
    """calibration.json of an index; by default one is made from the passages of each set."""
    debias: str | None = None
    """Take the language out of all vectors first: centre, shift, shift-passages or project, estimated from the passages of
    each set, or a file that `xlret debias` or an index has made."""
    translate_test: PathSetting | None = None
    """Lexicons to translate all queries and passages word by word into English with, before they are encoded."""
    reranker: PathSetting | None = None
    """Directory of a reranker, which orders the best passages of each query anew."""
    rerank_depth: int = Field(100, ge=1)
    """How many passages of the pooled ranking; queries x depth pairs go through the reranker."""

    @field_validator("lang", "passage_lang", mode="after")
    @classmethod
    def _code(cls, code: str | None) -> str | None:
        return code if code is None else language(code)

    @field_validator("measure", mode="after")
    @classmethod
    def _known_measures(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(measure.name for measure in named_measures(names))
        except UserError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _sets_and_ranking(self) -> "EvaluateSettings":
        if self.calibration is not None and self.balance == "none":
            raise ValueError("a calibration changes nothing with balance none; choose balance calibrated or quota")
        if self.reranker is not None and self.balance != "none":
            raise ValueError("both change the ranking, and not together; choose balance or reranker")
        if self.debias is not None and self.translate_test is not None:
            raise ValueError("after translate_test all texts are in one language; leave debias out")
        if self.switch_queries is None and (self.switch_languages or self.switch_p != 0.5 or self.switch_policy != "ml"):
            raise ValueError("how queries are switched goes with switch_queries: name a lexicon")
        if (self.baseline or self.run) and self.balance != "none":
            raise ValueError("baseline and run are rankings of their own; leave balance out")
        if self.encoders and self.vectors is None:
            raise ValueError("encoders encode passages that are kept; say where with vectors")
        if self.index is not None and (
            self.reranker or self.balance != "none" or self.debias or self.baseline or self.run or self.translate_test
        ):
            raise ValueError("an index has an order of its own; leave out reranker, balance, debias, baseline, run and such")
        if (self.benchmark is None) == (self.corpus is None):
            raise ValueError("give either a benchmark with its data or a corpus")
        about = None if self.benchmark is None else benchmark(self.benchmark)
        if about is not None and self.data is None and not self.hub:
            fetched = " (or fetch it with --hub)" if about.hub else ""
            raise ValueError(f"benchmark {about.name} needs data: a directory with {about.files} from {about.source}{fetched}")
        if self.hub and (about is None or self.data is not None):
            raise ValueError("hub fetches the files of a benchmark; give it with a benchmark and without data")
        if self.hub_revision is not None and not self.hub:
            raise ValueError("hub_revision goes with hub")
        if self.benchmark != "custom":
            given = {"split", "lang", "passage_lang", "on_bad_row"} & self.model_fields_set
            if any(getattr(self, name) != type(self).model_fields[name].default for name in given):
                raise ValueError(f"{', '.join(sorted(given))}: only for benchmark custom")
        return self

    def measures(self) -> tuple[NamedMeasure, ...]:
        """Those that were asked for, after those that the benchmark is reported by."""
        usual = () if self.benchmark is None else benchmark(self.benchmark).measures
        return named_measures((*usual, *self.measure))

    def overrides(self) -> EncoderOverrides:
        """What is to differ from the encoder's own files."""
        names = EncoderOverrides.__annotations__.keys() & type(self).model_fields.keys()
        return cast(EncoderOverrides, {name: value for name in names if (value := getattr(self, name)) is not None})
