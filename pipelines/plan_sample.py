"""`i2m2 plan-sample`: how wide the report's intervals will be with so many test patients."""

from typing import Annotated, Any

from cyclopts import Parameter

from i2m2_med.console import say, table
from i2m2_med.errors import ConfigError


def main(
    *,
    prevalence: float,
    auroc: float,
    patients: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (50, 100, 200, 500, 1000, 2000),
    sensitivity: float = 0.9,
    seeds: int = 3,
    seed_sd: float = 0.02,
    correlation: float = 0.5,
) -> dict[str, Any]:
    """Expected width of each 95 % interval of a report, for a label of two classes and planned numbers of test patients.

    Parameters
    ----------
    prevalence
        The share of patients who have the finding.
    auroc
        The AUROC that is hoped for.
    patients
        Numbers of test patients; several.
    sensitivity
        What the operating point will reach; the same is taken for specificity.
    seeds
        Training seeds of each paradigm; one: the difference is of two trained models, not of paradigms.
    seed_sd
        Standard deviation of the AUROC over training seeds.
    correlation
        Of the errors that the same patients bring to two paradigms' AUROCs: 0 (nothing alike) to below 1.
    """
    from i2m2_med.report.statistics.planning import Assumptions, plan_table

    refuse_odd(patients, seeds, seed_sd, correlation, prevalence=prevalence, auroc=auroc, sensitivity=sensitivity)
    plan = Assumptions(
        prevalence=prevalence,
        auroc=auroc,
        sensitivity=sensitivity,
        seeds=seeds,
        seed_sd=seed_sd,
        correlation=correlation,
    )
    widths = plan_table(plan, list(patients))
    cells = [
        [f"{cell:g}" if float(cell).is_integer() else f"{cell:.3f}" for cell in line] for line in widths.to_numpy()
    ]
    table("Expected width of 95 % intervals, by test patients", [str(name) for name in widths.columns], cells)
    say(
        "A patient counts once, as if its samples were alike. The difference is of two paradigms with the randomness of training in it."
        if seeds > 1
        else "A patient counts once, as if its samples were alike. With one seed the difference is of two trained models only."
    )
    say("next: i2m2 init TABLE, or i2m2 check CONFIG, with data of that size")
    return {"widths": widths.astype(object).where(widths.notna(), None).to_dict("records")}


def refuse_odd(patients: tuple[int, ...], seeds: int, seed_sd: float, correlation: float, **shares: float) -> None:
    """Raise ConfigError for what can't be planned with."""
    for name, value in shares.items():
        if not 0 < value < 1:
            raise ConfigError(f"--{name} {value:g} is no share; give a number between 0 and 1")
    if not 0 <= correlation < 1:
        raise ConfigError(f"--correlation {correlation:g} is not between 0 and below 1")
    if not 0 <= seed_sd < 0.5 or seeds < 1:
        raise ConfigError(f"--seeds {seeds} --seed-sd {seed_sd:g}: there is one seed or more, and a spread below 0.5")
    if not patients or min(patients) < 2 or max(patients) > 1_000_000:
        raise ConfigError("--patients takes numbers from 2 to 1,000,000")
