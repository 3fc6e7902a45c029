"""`i2m2 init TABLE`: a commented config from a stranger's table."""

from pathlib import Path
from typing import Any

from i2m2_med.config.reader import load_config
from i2m2_med.console import say, table
from i2m2_med.errors import UserError
from i2m2_med.files import replace_file


def main(
    cohort: Path, *, out: Path | None = None, patient: str | None = None, label: str | None = None
) -> dict[str, Any]:
    """Read a table and write a config for it: what each column is taken for, transforms, experts, and the next two commands.

    Parameters
    ----------
    cohort
        CSV, TSV, Parquet, Excel or MONAI's datalist, with a row per study; the files that it names lie beside it or below.
    out
        The config to write; by default the table's name with `.yaml`, in this folder. A file that is there is left alone.
    patient
        The column that says whose row it is, where its name doesn't.
    label
        The column to be predicted, where its name doesn't say so.
    """
    from i2m2_med.sources.table.drafting import draft
    from i2m2_med.sources.table.writing import config_text

    config = out or Path(f"{cohort.stem}.yaml")
    if config.exists():
        raise UserError(f"{config} is there already; name another file: --out FILE")
    made = draft(cohort, patient, label)
    with replace_file(config) as beside:
        beside.write_text(config_text(made, config), encoding="utf-8")
    table(f"{cohort.name}: what each column is taken for", ["column", "taken for", "why"], made.reasons)
    run, _ = load_config(str(config))
    say(f"written to {config}: {len(run.experts)} experts ({', '.join(run.experts)})")
    say(f"next: i2m2 check {config}; i2m2 compare {config}")
    return {
        "config": str(config),
        "experts": list(run.experts),
        "columns": {name: role for name, role, _ in made.reasons},
    }
