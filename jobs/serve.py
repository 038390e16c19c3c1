"""`python -m jobs.serve` is `xlret serve`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("serve")
