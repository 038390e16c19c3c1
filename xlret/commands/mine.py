"""`xlret mine`: hard negatives for a prepared corpus."""

from cyclopts import App
from rich.console import Console
from rich.table import Table

from xlret.commands.frame import Overrides, new_app, tell
from xlret.commands.keys import recipe_keys
from xlret.config import read_recipe
from xlret.mine.settings import MineJob

EPILOGUE = """\
examples:
  xlret mine --set corpus=corpora/atlas/train --set out=corpora/mined/train \\
      --set encoder=runs/quickstart/model
  xlret mine my.yaml --set draw=balanced --set reranker=runs/reranker/model
and then
  xlret train quickstart --set corpora=[corpora/mined/train] \\
      --set hard_negatives=2 --set negative_language=balanced

A negative is never of the query's own group or cluster, in any language. Round
by round: train, mine again with runs/NAME/model and --replace, train again.
What a recipe may say, each also by --set:

""" + recipe_keys(MineJob)
app: App = new_app("mine", "Mine hard negatives for a prepared corpus.", EPILOGUE)


@app.default
def mine_negatives(recipe: str | None = None, /, *, overrides: Overrides = (), replace: bool = False) -> int:
    """Ranks a corpus' passages for its queries and keeps those that look like answers and are none.

    Args:
        recipe: a YAML file; may be left out where --set says all
        overrides: KEY=VALUE, one setting in place of the recipe's; may be given again
        replace: replace what is there already
    """
    job = read_recipe(MineJob, recipe, overrides)
    from xlret.mine.run import mine

    result = mine(job, replace=replace, say=tell)
    table = Table("query", "passage", title="Mined by languages")
    for name in ("negatives", "dropped as likely answers"):
        table.add_column(name, justify="right")
    for query_lang, passage_lang, negatives, too_near in result.table():
        table.add_row(query_lang, passage_lang, f"{negatives:,}", f"{too_near:,}")
    Console(soft_wrap=True).print(table)
    sizes = ", ".join(f"{count:,} with {size}" for size, count in result.negatives_of_group.items())
    print(f"{result.groups:,} groups: {sizes}; {result.counts.own:,} answers among the ranked passages left out")
    print(f"hard negatives in {result.out}")
    return 0
