"""`python -m jobs.lexicon` is `xlret lexicon`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("lexicon")
