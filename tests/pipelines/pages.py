"""Pages of the documentation as tests follow them."""

import re
from pathlib import Path

from i2m2_med.cli import main

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def follow(commands: str) -> None:
    """Run the commands of a page; RUN is I2M2's of the comparison before."""
    run = ""
    for line in commands.splitlines():
        arguments = [run if word == "RUN" else word for word in line.split()[1:]]
        assert main(arguments) == 0, line
        if arguments[0] == "compare":
            from i2m2_med.engine.tracking.read import list_runs
            from i2m2_med.engine.tracking.store import store_uri
            from i2m2_med.workspace import workspace

            runs = list_runs(store_uri(workspace(), None))
            run = next(one.run_id for one in runs if one.tags.get("paradigm") == "i2m2")
