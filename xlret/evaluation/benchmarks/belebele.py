"""Belebele (Bandarkar et al. 2024): 900 questions on 488 FLORES passages, fully parallel in 122 language variants."""

from collections.abc import Iterator
from pathlib import Path

from xlret.data.read import read_records
from xlret.data.rows import ReadingReport
from xlret.errors import DataError
from xlret.evaluation.benchmarks.base import Benchmark, first_existing
from xlret.evaluation.benchmarks.parallel import ParallelTexts, by_language
from xlret.evaluation.sets import RetrievalSet
from xlret.hub import HubRepository

_CODES = by_language("""
afr_Latn als_Latn amh_Ethi arb_Arab arb_Latn asm_Beng azj_Latn bam_Latn ben_Beng ben_Latn bod_Tibt bul_Cyrl cat_Latn ceb_Latn
ces_Latn ckb_Arab dan_Latn deu_Latn ell_Grek eng_Latn est_Latn eus_Latn fin_Latn fra_Latn fuv_Latn gaz_Latn grn_Latn guj_Gujr
hat_Latn hau_Latn heb_Hebr hin_Deva hin_Latn hrv_Latn hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn
jpn_Jpan kac_Latn kan_Knda kat_Geor kaz_Cyrl kea_Latn khk_Cyrl khm_Khmr kin_Latn kir_Cyrl kor_Hang lao_Laoo lin_Latn lit_Latn
lug_Latn luo_Latn lvs_Latn mal_Mlym mar_Deva mkd_Cyrl mlt_Latn mri_Latn mya_Mymr nld_Latn nob_Latn npi_Deva npi_Latn nso_Latn
nya_Latn ory_Orya pan_Guru pbt_Arab pes_Arab plt_Latn pol_Latn por_Latn ron_Latn rus_Cyrl shn_Mymr sin_Latn sin_Sinh slk_Latn
slv_Latn sna_Latn snd_Arab som_Latn sot_Latn spa_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn tam_Taml tel_Telu tgk_Cyrl
tgl_Latn tha_Thai tir_Ethi tsn_Latn tso_Latn tur_Latn ukr_Cyrl urd_Arab urd_Latn uzn_Latn vie_Latn war_Latn wol_Latn xho_Latn
yor_Latn zho_Hans zho_Hant zsm_Latn zul_Latn
""")


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set: the questions of all languages over the distinct passages of all languages.

    A passage is told by its `link` (and `split`, where the file has it), a question by its passage and `question_number`. The
    five Arabic dialects (acm, apc, ars, ary, arz), which share their BCP-47 language with Standard Arabic, are not read.
    """
    texts = ParallelTexts()
    for lang in languages:
        path = first_existing(directory, f"data/{_CODES[lang]}.jsonl", f"{_CODES[lang]}.jsonl", f"{_CODES[lang]}.jsonl.gz")
        for where, record in read_records(path, ReadingReport()):
            try:
                passage = "/".join(str(record[name]) for name in ("link", "split") if name in record)
                texts.add_passage(passage, lang, record["flores_passage"].strip())
                texts.add_query(f"{passage}#{record['question_number']}", lang, record["question"].strip(), (passage,))
            except (KeyError, AttributeError, ValueError) as error:
                raise DataError(f"{where}: not of Belebele's form: {error}; found: {', '.join(record)}") from error
    yield texts.retrieval_set("belebele")


BELEBELE = Benchmark(
    name="belebele",
    title="Belebele, questions to FLORES passages",
    size="900 questions, 488 passages a language",
    languages=tuple(_CODES),
    metric="ndcg@10",
    measures=("nDCG@20",),
    licence="CC BY-SA 4.0",
    source="https://huggingface.co/datasets/facebook/belebele",
    revision="d4c91dedc9de484dbea7b7d940f898f59fd135e9",
    files="data/XXX_Xxxx.jsonl",
    citation="""@inproceedings{bandarkar2024belebele,
  title = {The {B}elebele Benchmark: a Parallel Reading Comprehension Dataset in 122 Language Variants},
  author = {Bandarkar, Lucas and Liang, Davis and Muller, Benjamin and Artetxe, Mikel and Shukla, Satya Narayan and Husa, Donald
    and Goyal, Naman and Krishnan, Abhinandan and Zettlemoyer, Luke and Khabsa, Madian},
  booktitle = {Proceedings of ACL},
  year = {2024}
}""",
    read=_sets,
    hub=(
        HubRepository(
            "facebook/belebele",
            "d4c91dedc9de484dbea7b7d940f898f59fd135e9",
            lambda languages: [f"data/{_CODES[lang]}.jsonl" for lang in languages],
        ),
    ),
)
