"""How MLflow's page shows an experiment: by tags of it that the page itself reads."""

import json

FOR_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""Opens the experiment's page on its runs; MLflow takes it for a chat bot's otherwise."""
COLUMNS = {
    "paradigm": 130,
    "seed": 55,
    "fold": 55,
    "result": 170,
    "difference": 190,
    "verified": 75,
    "calibrated": 90,
    "i2m2.dirty": 90,
}
"""Tags that a reviewer wants to see first, in this order, and the width of their columns in pixels."""
VIEW = "review"
"""The key of the saved view with these columns: `…/#/experiments/ID/runs?viewStateShareKey=review`, and in the page's menu Views."""


def review_view() -> dict[str, str]:
    """Return the tag that holds a saved view (of MLflow 3.17's page): which columns the table of runs shows."""
    columns = [*(f"tags.`{name}`" for name in COLUMNS), "attributes.`Description`", "attributes.`Dataset`"]
    widths = {f"tags.`{name}`": width for name, width in COLUMNS.items()}
    state = json.dumps({"selectedColumns": columns, "columnOrder": columns, "columnWidths": widths})
    view = {"name": "Review", "createdAt": 0, "updatedAt": 0, "state": state}
    return {f"mlflow.sharedViewState.{VIEW}": json.dumps(view)}
