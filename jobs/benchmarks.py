"""`python -m jobs.benchmarks` is `xlret benchmarks`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("benchmarks")
