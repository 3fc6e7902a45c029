"""Runs the commands of the tutorials and writes what they print below them: `python -m tests.tutorials [PAGE.md …]`.

A command is a line `$ …` of a `console` block; all of a page's run in order in one empty folder. `RUN` stands for the run that was named
last. Progress is left out, and what changes from run to run (ids, folders, versions of the code) is not held against a page by its test.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from i2m2_med.simulate.mimic3.write import simulate

PROJECT = Path(__file__).parents[1]
PAGES = sorted((PROJECT / "docs" / "tutorials").glob("*.md"))
SHARED = Path(os.environ.get("I2M2_SHARED_DATA", PROJECT.parent / "shared" / "data"))
WIDTH = 96
BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", re.DOTALL)
PROGRESS = re.compile(r": \d+ of \d+, | …$|^reading |^measuring$|^$")
NAMED = re.compile(r"i2m2 (?:show|diagnose) ([0-9a-f]{8})\b")
"""How a verb says which run it made."""


def play(page: str, folder: Path) -> str:
    """Return the page with the output of its commands, run in `folder`. Raises RuntimeError where one ends otherwise than with 0 or 2."""
    run = ""

    def played(block: re.Match[str]) -> str:
        nonlocal run
        shown = ""
        for line in block[0].splitlines():
            if line.startswith("$ "):
                said = output_of(re.sub(r"\bRUN\b", run, line.removeprefix("$ ")), folder)
                run = next(reversed(NAMED.findall(said)), run)
                shown += f"{line}\n{said}"
        return shown

    return BLOCK.sub(played, page)


def output_of(command: str, folder: Path) -> str:
    """Return what a command prints on both streams where there is no terminal, without its progress."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": str(WIDTH)}
    environment |= {"OMP_NUM_THREADS": "1", "I2M2_WORK": str(folder / "i2m2_work"), "MIMIC3_ROOT": "mimic3demo"}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode not in (0, 2):
        raise RuntimeError(f"{command}\nended with {done.returncode}:\n{done.stdout}")
    lines = [line.rstrip().replace(str(folder), "~/study") for line in done.stdout.splitlines()]
    return "".join(f"{line}\n" for line in lines if not PROGRESS.search(line))


def likeness(page: str, again: str) -> float:
    """Return the share of a page's lines that stand in another, numbers, ids and the widths of columns aside."""
    mine, theirs = (
        Counter(re.sub(r"[\W\d_]+|\b[0-9a-f]{7,}\b", " ", line).strip() for line in text.splitlines())
        for text in (page, again)
    )
    return (mine & theirs).total() / mine.total()


def lay_out(folder: Path) -> bool:
    """Put the MIMIC-III demo into `folder`; False where the real one was never fetched, and simulated tables stand in for it."""
    if real := (SHARED / "mimic3demo").is_dir():
        (folder / "mimic3demo").symlink_to((SHARED / "mimic3demo").resolve())
    else:
        simulate(folder / "mimic3demo", patients=100)
    return real


def main(names: list[str]) -> None:
    """Write the pages anew."""
    for page in [page for page in PAGES if page.name in names or not names]:
        with TemporaryDirectory() as folder:
            lay_out(Path(folder))
            page.write_text(play(page.read_text(encoding="utf-8"), Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
