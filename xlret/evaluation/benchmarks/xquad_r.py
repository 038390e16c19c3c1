"""XQuAD-R: 1,190 questions in each of eleven languages, fully parallel, over some 1,200 sentences a language."""

from xlret.evaluation.benchmarks.base import Benchmark
from xlret.evaluation.benchmarks.lareqa import LAREQA, lareqa_set

XQUAD_R = Benchmark(
    name="xquad-r",
    title="XQuAD-R (LAReQA)",
    size="13,090 questions, 13,014 passages",
    languages=("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"),
    metric="micro",
    licence="CC BY-SA 4.0",
    source="https://github.com/google-research-datasets/lareqa",
    revision="2020-04, all files by checksum",
    files="LANG.json or LANG.json.gz",
    sha256={
        "ar.json": "c52922d3b8ac1ae03ed5ac38647ad59870dca3dda2beefe18ecdc30729acb69d",
        "de.json": "16fb0f4bf4916154b585a20c24c66074591c9718a1affe764ff4697572328949",
        "el.json": "163fd43ee785a30eb534ae2061e9eaa766a7ee4e8ffce5e4b422480c150f64b6",
        "en.json": "7b0954f39297c27a31fef610f0883337dd2907fa8699151dc922afdd0fa12ffe",
        "es.json": "f8e836b2d91009c4363e04315f7ede363eedbbb49c67dda60de6c4aa782f58de",
        "hi.json": "ea45ba8ae4513d1533b222bebdc02a90bc319c055d3aeea68584a053d2e92872",
        "ru.json": "7f4dff853538b9a5fcc28c070b8bb983a5c5d190ac747b8e005a1ada9cab18f1",
        "th.json": "c3a041864c3a9fb0b4dd91cfdf99cf36b411b3e704c58a303c97bc6dc786cfe4",
        "tr.json": "f3e8c13002bbce154a4578f535f7533cb70f3da08840e6b62735935baec7bd94",
        "vi.json": "e35926bf5cc6fc6ecbdfca49467aabeb454f08d152d7818143a906bd31dde995",
        "zh.json": "80c2cde7b9c2fb134c303cbb52f2ba396ead9eb0014aec43993543d2ba9e93ed",
    },
    by_hand=(
        "fetch xquad-r/*.json of the repository google-research-datasets/lareqa into one folder; the hub's copy of "
        "XQuAD-R has no sentences"
    ),
    citation=LAREQA,
    read=lambda directory, languages: iter([lareqa_set("xquad-r", directory, languages)]),
)
