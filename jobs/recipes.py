"""`python -m jobs.recipes` is `xlret recipes`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("recipes")
