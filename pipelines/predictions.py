"""`i2m2 predictions RUN`: the prediction table of a run or comparison as a file, with its data dictionary beside it."""

from pathlib import Path
from typing import Any

from i2m2_med.console import say
from i2m2_med.errors import ConfigError
from i2m2_med.workspace import workspace

from .arguments import Run

KINDS = (".csv", ".parquet")


def main(run: Run, out: Path | None = None, *, uri: str | None = None) -> dict[str, Any]:
    """Write predictions as CSV or Parquet, and what each column means as `data_dictionary.md` beside it.

    Patients and studies stand there by keyed hashes. Of a comparison: the rows of all its runs, with paradigm and seed.

    Parameters
    ----------
    out
        The file to write, .csv or .parquet; predictions-RUN.csv in this folder where not said.
    uri
        The store of the run; the workspace's own where not said.
    """
    import pandas as pd

    from i2m2_med.engine.tracking.read import children, find_run, predictions
    from i2m2_med.engine.tracking.store import store_uri
    from i2m2_med.files import replace_file
    from i2m2_med.predictions import data_dictionary

    one = find_run(store_uri(workspace(), uri), run)
    path = out or Path(f"predictions-{one.run_id[:8]}.csv")
    if path.suffix not in KINDS:
        raise ConfigError(f"{path} ends in '{path.suffix}'; predictions are written as {' or '.join(KINDS)}")
    members = [child for child in children(one) if child.status == "FINISHED"] or [one]
    parts = [(child, predictions(child)) for child in members]
    named = [part.assign(paradigm=child.tags["paradigm"], seed=int(child.tags["seed"])) for child, part in parts]
    rows = pd.concat(named, ignore_index=True)
    rows = rows[["paradigm", "seed", *(name for name in rows if name not in {"paradigm", "seed"})]]
    with replace_file(path) as beside:
        rows.to_csv(beside, index=False) if path.suffix == ".csv" else rows.to_parquet(beside, index=False)
    meaning = path.with_name("data_dictionary.md")
    with replace_file(meaning) as beside:
        beside.write_text(data_dictionary(), encoding="utf-8")
    say(f"{len(rows):,} rows of {len(members)} runs in {path}; what the columns mean is in {meaning}")
    say(f"next: i2m2 report {one.run_id[:8]}; i2m2 diff {one.run_id[:8]} RUN holds another run against it")
    return {"run": one.run_id, "rows": len(rows), "predictions": str(path), "dictionary": str(meaning)}
