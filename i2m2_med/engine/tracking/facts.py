"""The facts that every run records of itself: its columns in MLflow's table, a sentence, where code, data, settings and machine came from."""

import json
from typing import Any

from i2m2_med.documents import write_yaml
from i2m2_med.engine.tracking import provenance
from i2m2_med.engine.tracking.outbox import Event
from i2m2_med.files import digest

HIDDEN = ("files", "refused", "root")
"""Parts of a manifest that name files, and files are named after patients or studies: the store gets only how many there are."""


def first_tags(
    paradigm: str, task: str, seed: int | None, config: dict[str, Any], manifest: dict[str, Any]
) -> dict[str, str]:
    """Return the tags that a run is created with."""
    code = provenance.code()
    dirty = {"true": " with uncommitted changes", "false": ""}.get(code["dirty"], ", changes unknown")
    data = str(manifest.get("fingerprint", ""))
    seeded = {} if seed is None else {"seed": str(seed)}
    number = "" if seed is None else f", seed {seed}"
    sentence = f"{paradigm} on {task}{number}, data {data[:12] or 'unknown'}, code {code['commit'][:12]}{dirty}."
    return {
        "mlflow.note.content": sentence,
        "mlflow.user": provenance.user(),
        "mlflow.source.name": "i2m2",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": code["commit"],
        "paradigm": paradigm,
        "task": task,
        **seeded,
        "data": data[:12],
        "i2m2.fingerprint": data,
        "i2m2.config_sha256": digest(config),
        "i2m2.commit": code["commit"],
        "i2m2.dirty": code["dirty"],
        "i2m2.code_sha256": code["code_sha256"],
        "i2m2.lock_sha256": provenance.lock_digest(),
        "i2m2.version": provenance.packages().get("i2m2-med", ""),
    }


def facts_of(
    paradigm: str, task: str, seed: int | None, config: dict[str, Any], manifest: dict[str, Any]
) -> list[Event]:
    """Return the events that a run begins with: columns, settings, data."""
    fingerprint = str(manifest.get("fingerprint", "unknown"))
    columns = {"paradigm": paradigm, "task": task, "data": fingerprint[:12]}
    columns |= {} if seed is None else {"seed": str(seed)}
    name = config.get("source", {}).get("name", task)
    return [
        {"kind": "params", "values": columns | settings_of(config)},
        {"kind": "data", "name": name, "fingerprint": fingerprint, "splits": manifest.get("splits", {})},
    ]


def settings_of(config: dict[str, Any]) -> dict[str, str]:
    """A config as MLflow's parameters, under dotted names; what is a column of the run's already is left out."""
    return {key: str(value) for key, value in flat(config).items() if key not in {"paradigm", "task", "seed", "data"}}


def texts_of(config: dict[str, Any], manifest: dict[str, Any], origins: dict[str, str] | None) -> list[Event]:
    """Return the events that write a run's texts: config, manifest, environment, lock. Sent again when the run is resumed."""
    machine = provenance.hardware()
    texts = {
        "config.yaml": write_yaml(config),
        "manifest.json": json.dumps(public_part(manifest), indent=2, default=str),
        "environment.json": json.dumps({"machine": machine, "packages": provenance.packages()}, indent=2),
    }
    if origins:
        texts["config_origins.json"] = json.dumps(origins, indent=2)
    if lock := provenance.lock_file():
        texts[lock.name] = lock.read_text(encoding="utf-8")
    return [
        {"kind": "tags", "values": {"i2m2.machine": provenance.machine_digest(machine)}},
        *({"kind": "text", "name": name, "text": text} for name, text in texts.items()),
    ]


def flat(config: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested settings under dotted names: `{"a": {"b": 1}}` → `{"a.b": 1}`."""
    dotted: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{before}{key}"
        dotted |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return dotted


def public_part(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest without what names files."""
    kept = {key: value for key, value in manifest.items() if key not in HIDDEN}
    return kept | {f"n_{key}": len(manifest[key]) for key in HIDDEN if isinstance(manifest.get(key), (list, dict))}
