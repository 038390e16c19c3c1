"""`xlret recipes`: what recipes there are, and their text."""

from cyclopts import App
from rich.console import Console
from rich.table import Table

from xlret.commands.frame import new_app
from xlret.config import recipe_names, recipe_path

EPILOGUE = """\
examples:
  xlret recipes
  xlret recipes quickstart > my.yaml       # to change it
"""
app: App = new_app("recipes", "List the recipes that come with xlret, or show one.", EPILOGUE)


@app.default
def recipes(name: str | None = None, /) -> int:
    """Lists the recipes with the command that each is for and its first sentence.

    Args:
        name: show the text of this recipe instead
    """
    if name is not None:
        print(recipe_path(name).read_text(encoding="utf-8"), end="")
        return 0
    table = Table("recipe", "used by", "what it does", box=None, pad_edge=False)
    for recipe in recipe_names():
        text = recipe_path(recipe).read_text(encoding="utf-8")
        table.add_row(recipe, f"xlret {command_of(text)}", summary_of(text))
    Console(soft_wrap=True).print(table)
    return 0


def command_of(text: str) -> str:
    """The command that a recipe is for, by the keys that only its settings have.

    >>> command_of("output: corpora\\ncorpora: {}\\n")
    'prepare'
    """
    top = [line.split(":", 1)[0] for line in text.splitlines() if line[:1].isalpha()]
    return "sweep" if "base" in top else "prepare" if "output" in top else "train"


def summary_of(text: str) -> str:
    """The first sentence of the comment at the top of a recipe.

    >>> summary_of("# Real parallel text for\\n# training: corpora. And more.\\nname: x\\n")
    'Real parallel text for training: corpora.'
    """
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    sentence, stop, _ = " ".join(lines).partition(". ")
    return sentence + stop.strip()
