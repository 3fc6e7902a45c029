"""The JSON of `make bench` as Markdown, and two of them held against each other.

python -m tests.benchmarks.tables build/bench/bench.json                    # Markdown
python -m tests.benchmarks.tables build/bench/bench.json --against OLD.json # what got worse; exit 1 if anything did, or failed
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from tests.benchmarks.figures import Figure, number

BEGIN, END = "<!-- figures of make bench -->", "<!-- end of figures -->"
LEAST = 0.1
"""A ratio has to be this much of itself worse, whatever the spread: that of three repetitions is itself uncertain."""


class Cpu(BaseModel):
    """Of the machine."""

    brand_raw: str | None
    count: int | None


class Machine(BaseModel):
    """What the figures were measured on."""

    cpu: Cpu
    system: str
    python_version: str


class Commit(BaseModel):
    """The code that was measured."""

    id: str
    dirty: bool


STORED = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class Stored(BaseModel):
    """A stored run; what pytest-benchmark keeps beside is not looked at."""

    figures: list[dataclass(Figure, config=STORED, frozen=True)]  # pyright: ignore
    machine_info: Machine
    commit_info: Commit
    datetime: str
    versions: dict[str, str]
    load: float
    missing: dict[str, str]


def read(path: Path) -> tuple[dict[str, Any], dict[str, Figure]]:
    """A stored run. Ends with one line where the file is no such thing, or a figure is no number or there twice."""
    try:
        text = path.read_text(encoding="utf-8")
        stored = json.loads(text)
        Stored.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        sys.exit(f"{path} is no JSON of `make bench`: {'.'.join(map(str, first['loc']))}: {first['msg']}")
    except (OSError, ValueError) as error:
        sys.exit(f"{path} is no JSON of `make bench`: {type(error).__name__}")
    figures = [Figure(**each) for each in stored["figures"]]
    if doubled := [name for name, times in Counter(one.name for one in figures).items() if times > 1]:
        sys.exit(f"{path} holds {', '.join(doubled)} more than once")
    return stored, {figure.name: figure for figure in figures}


def machine(stored: dict[str, Any]) -> str:
    info = stored["machine_info"]
    return f"{info['cpu']['brand_raw']}, {info['cpu']['count']} cores, {info['system']}"


def markdown(stored: dict[str, Any], figures: dict[str, Figure]) -> str:
    """A table with the machine, the versions and the day above it, and below it what was not measured."""
    versions = ", ".join(f"{name} {number}" for name, number in stored["versions"].items())
    commit = stored["commit_info"]
    lines = [
        f"{stored['datetime'][:10]}, {machine(stored)}, Python {stored['machine_info']['python_version']}, {versions}, "
        f"commit {commit['id'][:8]}{' with changes' if commit['dirty'] else ''}, mean load of 15 minutes {stored['load']:.1f}.",
        "",
        "| figure | what | ours | baseline | ours ÷ baseline | aim | repetitions |",
        "|---|---|---|---|---|---|---|",
    ]
    for figure in figures.values():
        aim = (
            ""
            if figure.at_most is None
            else f"≤ {figure.at_most:g}{'' if figure.ratio <= figure.at_most else ' missed'}"
        )
        unit = "" if figure.unit == "exponent" else figure.unit
        lines.append(
            f"| {figure.name} | {figure.what} | {number(figure.ours)} {unit} | {figure.against}: {number(figure.baseline)} | "
            f"{number(figure.ratio)} ({number(figure.low)} to {number(figure.high)}) | {aim} | {figure.repeats} |"
        )
    lines += ["", *(f"Not measured: {name} ({why})." for name, why in stored["missing"].items())]
    return "\n".join(lines).rstrip() + "\n"


def put_into(page: Path, table: str) -> None:
    """Put a table in the place of the one between the page's marks."""
    try:
        before, rest = page.read_text(encoding="utf-8").split(BEGIN)
        _, after = rest.split(END)
    except (OSError, ValueError):
        sys.exit(f"{page} has no place for a table: {BEGIN} … {END}, once")
    page.write_text(f"{before}{BEGIN}\n\n{table}\n{END}{after}", encoding="utf-8")


def worse(old: Figure, new: Figure) -> bool:
    """Whether the ratio grew by more than either run's own spread."""
    return new.ratio - old.ratio > max(old.spread, new.spread, LEAST * old.ratio)


def compare(old: dict[str, Figure], new: dict[str, Figure]) -> tuple[list[str], int]:
    """Lines to print, and how many figures got worse."""
    both = [
        name
        for name in new
        if name in old and (new[name].unit, new[name].against) == (old[name].unit, old[name].against)
    ]
    other = [name for name in new if name in old and name not in both]
    bad = [name for name in both if worse(old[name], new[name])]
    lines = [
        f"worse: {name}: {number(old[name].ratio)} → {number(new[name].ratio)} × {new[name].against} "
        f"(spread {number(old[name].spread)}, {number(new[name].spread)})"
        for name in bad
    ]
    better = sum(worse(new[name], old[name]) for name in both)
    lines.append(f"{len(both)} figures compared: {len(bad)} worse, {better} better, the rest within their spread")
    apart = (
        (other, "not compared, of another unit or baseline"),
        (old.keys() - new.keys(), "only in the stored run"),
        (new.keys() - old.keys(), "new"),
    )
    for names, said in apart:
        if names:
            lines.append(f"{said}: {', '.join(sorted(names))}")
    return lines, len(bad)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("run", type=Path)
    asked.add_argument("--against", type=Path)
    asked.add_argument("--into", type=Path)
    given = asked.parse_args()
    stored, figures = read(given.run)
    if given.into is not None:
        put_into(given.into, markdown(stored, figures))
        return
    if given.against is None:
        print(markdown(stored, figures), end="")
        return
    before, old = read(given.against)
    if machine(before) != machine(stored):
        print(f"another machine: {machine(before)} then, {machine(stored)} now; only ratios are compared")
    lines, bad = compare(old, figures)
    print("\n".join(lines))
    failed = [name for name, why in stored["missing"].items() if why.startswith("failed")]
    if failed:
        print(f"failed: {', '.join(failed)}")
    sys.exit(bool(bad or failed))


if __name__ == "__main__":
    main()
