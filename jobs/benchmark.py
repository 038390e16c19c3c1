"""Speed and memory as ratios of one run: `python -m jobs.benchmark [part ...]`."""

import sys
from pathlib import Path

from rich.console import Console

from jobs.bench import (
    assembly,
    beside,
    curves,
    encoding,
    engines,
    evaluation,
    few_bits,
    indexing,
    memory,
    packing,
    preparing,
    serving,
    setup,
    sweeping,
    switching,
    training,
)
from xlret.commands.frame import call, new_app, run
from xlret.errors import UserError

PARTS = {
    "assembly": assembly.run,
    "switching": switching.run,
    "training": training.run,
    "memory": memory.run,
    "beside": beside.run,
    "packing": packing.run,
    "bits": few_bits.run,
    "encoding": encoding.run,
    "engines": engines.run,
    "evaluation": evaluation.run,
    "curves": curves.run,
    "index": indexing.run,
    "prepare": preparing.run,
    "serving": serving.run,
    "sweep": sweeping.run,
}
app = new_app(
    "python -m jobs.benchmark",
    "Measures xlret on this machine. On a shared machine only ratios within a run mean something.",
    "\n".join(f"  {name:10} {(part.__doc__ or '').splitlines()[0]}" for name, part in PARTS.items()),
)


@app.default
def benchmark(
    parts: tuple[str, ...] = (),
    /,
    *,
    directory: Path = Path("runs/benchmark"),
    passages: int = 2_000_000,
    vectors: int = 1_000_000,
    seconds: float = 1800,
    factories: tuple[str, ...] = (),
    encoder: Path | None = None,
    corpora: tuple[Path, ...] = (),
) -> int:
    """Runs the parts asked for.

    Args:
        parts: see below; all by default
        directory: where corpora and runs are kept
        passages: passages that `encoding` measures memory on, and rows that `prepare` does
        vectors: vectors that `curves` measures indexes on, and `index` builds
        seconds: after so long `curves` begins no further kind of index
        factories: kinds that `curves` measures (by default some of each)
        encoder: what `engines` and `packing` measure (by default one of random weights)
        corpora: what `packing` takes texts of (by default the embedded corpus)
    """
    if unknown := sorted(set(parts) - set(PARTS)):
        raise UserError(f"unknown part {unknown[0]!r}; allowed: {', '.join(PARTS)}")
    console = Console(highlight=False)
    bench = setup.set_up(
        directory.resolve(),
        passages,
        vectors=vectors,
        seconds=seconds,
        factories=list(factories),
        encoder=encoder,
        corpora=corpora,
    )
    for name in parts or PARTS:
        console.rule(name)
        PARTS[name](bench, console)
    return 0


if __name__ == "__main__":
    run(lambda: call(app, sys.argv[1:]))
