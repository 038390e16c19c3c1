"""Speed and memory as ratios of one run: `python -m jobs.benchmark [part ...]`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from jobs.bench import assembly, curves, encoding, memory, serving, setup, switching, training
from jobs.cli import run_job

PARTS = {
    "assembly": assembly.run,
    "switching": switching.run,
    "training": training.run,
    "memory": memory.run,
    "encoding": encoding.run,
    "curves": curves.run,
    "serving": serving.run,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the parts asked for, all by default."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.benchmark",
        description="Measures xlret on this machine. On a shared machine only ratios within a run mean something.",
        epilog="\n".join(f"  {name:10} {(part.__doc__ or '').splitlines()[0]}" for name, part in PARTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--directory", type=Path, default=Path("runs/benchmark"), help="where corpora and runs are kept")
    parser.add_argument("--passages", type=int, default=2_000_000, help="passages that `encoding` measures memory on")
    parser.add_argument("--vectors", type=int, default=1_000_000, help="vectors that `curves` measures indexes on")
    parser.add_argument("--seconds", type=float, default=1800, help="after so long `curves` begins no further kind of index")
    parser.add_argument("--factories", nargs="+", default=[], help="kinds that `curves` measures (default: some of each)")
    arguments = parser.parse_args(argv)
    unknown = [one for one in arguments.parts if one not in PARTS]
    if unknown:
        parser.error(f"unknown part {unknown[0]!r}; allowed: {', '.join(PARTS)}")
    console = Console(highlight=False)
    curves_of = {name: getattr(arguments, name) for name in ("vectors", "seconds", "factories")}
    bench = setup.set_up(arguments.directory.resolve(), arguments.passages, **curves_of)
    for name in arguments.parts or PARTS:
        console.rule(name)
        PARTS[name](bench, console)
    return 0


if __name__ == "__main__":
    run_job(main)
