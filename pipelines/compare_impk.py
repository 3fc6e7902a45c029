"""`i2m2 compare-impk IM_PK [CONFIG]`: an owner's im.pk against our own arrays, column by column."""

from pathlib import Path
from typing import Any

from i2m2_med.config.reader import load_config
from i2m2_med.console import TerminalProgress, say, table
from i2m2_med.workspace import workspace

from .arguments import Config, Overrides


def main(im_pk: Path, config: Config = "mimic3_mortality", *, set_: Overrides = ()) -> dict[str, Any]:
    """Make the profile `i2m2_compat` from the tables of CONFIG (its `source.root`) and hold IM_PK against it.

    IM_PK is read without running pickled code. Differences are over cells where both hold a number.

    Parameters
    ----------
    im_pk
        MultiBench's file of MIMIC-III arrays, or the folder in which it is called im.pk.
    """
    from i2m2_med.sources.impk.comparison import compare_columns, our_table, their_table

    run, _ = load_config(config, (*set_, "source.profile=i2m2_compat", "source.normalise=train"))
    theirs = their_table(im_pk, run.source)
    comparison = compare_columns(theirs, our_table(run.source, workspace() / "cache", TerminalProgress()))
    titles = ["column", "cells", "max", "mean", "equal", "only im.pk", "only ours"]
    table("im.pk against our i2m2_compat", titles, [column_cells(row) for row in comparison.rows])
    say(f"{comparison.matched} samples stand in both; im.pk holds {comparison.theirs}, we made {comparison.ours}")
    say(f"next: i2m2 train mimic3_impk -s source.root={im_pk}")
    return {
        "rows": comparison.rows,
        "matched": comparison.matched,
        "theirs": comparison.theirs,
        "ours": comparison.ours,
    }


def column_cells(row: dict[str, Any]) -> list[str]:
    """A row for a person."""
    return [
        row["column"],
        f"{row['cells']:,}",
        f"{row['max']:.4g}",
        f"{row['mean']:.4g}",
        f"{row['equal']:.2%}",
        f"{row['only_theirs']:,}",
        f"{row['only_ours']:,}",
    ]
