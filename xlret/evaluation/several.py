"""Several encoders on one benchmark: what is read and made once for all of them, and which of them is better."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from xlret.errors import UserError
from xlret.evaluation.comparison import Comparison, compare_systems, measures_of, read_system
from xlret.evaluation.comparison_files import print_comparison, write_comparison
from xlret.evaluation.run import checked_out, evaluate_encoder, sets_to_measure
from xlret.evaluation.settings import EvaluateSettings
from xlret.files import expand_path


def evaluate_encoders(
    encoders: Mapping[str, str],
    settings: EvaluateSettings,
    out: Path | None,
    *,
    replace: bool = False,
    compare_with: Path | None = None,
    console: Console | None = None,
) -> Comparison:
    """Evaluates each encoder into `out`/NAME, whole when it is there, then compares them and writes the comparison into `out`.

    Files, judgements, BM25 and runs are read and made once; texts are tokenised once for all encoders that have the same
    tokeniser, prompts and limits (as long as their ids take up 256 MiB at most). One encoder is in memory at a time.

    Args:
        encoders: name -> directory or hub name, two or more.
        settings: what to evaluate on, for all of them.
        out: directory that gets a directory for each encoder.
        replace: whether earlier evaluations of the same names give way.
        compare_with: `evaluation.json` to test each of them against besides.
        console: where to print; standard output by default.

    Raises:
        UserError: see `evaluate_encoder`; no `out`, or something else is there; numbers that no comparison can be made of.
            Evaluations that were done are kept.

    Cost: that of each evaluation, less what is shared; all sets are in memory.
    """
    console = console or Console(highlight=False)
    if out is None:
        raise UserError(f"{len(encoders)} encoders are compared from what is written; say where with --out DIRECTORY")
    out = expand_path(out)
    if (out / "evaluation.json").exists() or (out.exists() and not out.is_dir()):
        raise UserError(f"{out} is an evaluation itself or no directory; several encoders need one of their own")
    directories = {name: checked_out(out / name.replace("/", "-"), replace) for name in encoders}
    if not replace and (out / "comparison.html").exists():
        raise UserError(f"{out} holds a comparison already; choose another place, or add --replace")
    prepared = list(sets_to_measure(settings))
    out.mkdir(parents=True, exist_ok=True)
    for name, encoder in encoders.items():
        console.rule(name)
        evaluate_encoder(
            encoder,
            settings,
            directories[name],
            replace=replace,
            compare_with=compare_with,
            console=console,
            prepared=prepared,
        )
    console.rule(f"{len(encoders)} encoders")
    systems = [read_system(name, directory) for name, directory in directories.items()]
    comparison = compare_systems(systems, measures_of(next(iter(directories.values()))))
    print_comparison(comparison, console)
    write_comparison(out, comparison, systems, directories)
    console.print(f"written to {out}", markup=False)
    return comparison
