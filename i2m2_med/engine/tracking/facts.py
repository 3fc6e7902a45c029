"""What every run says of itself: its columns in MLflow's table, a sentence, where code, data, settings and machine came from."""

import json
from typing import Any

import yaml

from i2m2_med.engine.tracking import provenance
from i2m2_med.engine.tracking.outbox import Event
from i2m2_med.files import digest

HIDDEN = ("files", "refused", "root")
"""Parts of a manifest that name files, and files are named after patients or studies: the store gets only how many there are."""


def first_tags(
    paradigm: str, task: str, seed: int, config: dict[str, Any], manifest: dict[str, Any], description: str
) -> dict[str, str]:
    code = provenance.code()
    dirty = {"true": " with uncommitted changes", "false": ""}.get(code["dirty"], ", changes unknown")
    data = str(manifest.get("fingerprint", ""))
    sentence = f"{paradigm} on {task}, seed {seed}, data {data[:12] or 'unknown'}, code {code['commit'][:12]}{dirty}."
    return {
        "mlflow.note.content": description or sentence,
        "mlflow.user": provenance.user(),
        "mlflow.source.name": "i2m2",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": code["commit"],
        "paradigm": paradigm,
        "task": task,
        "seed": str(seed),
        "data": data[:12],
        "i2m2.fingerprint": data,
        "i2m2.config_sha256": digest(config),
        "i2m2.commit": code["commit"],
        "i2m2.dirty": code["dirty"],
        "i2m2.code_sha256": code["code_sha256"],
        "i2m2.lock_sha256": provenance.lock_digest(),
        "i2m2.version": provenance.packages().get("i2m2-med", ""),
        "i2m2.claim": "",  # there from the start: two that insert it at once would collide, two that change it do not
        **provenance.process_tags(),
    }


def facts_of(
    paradigm: str,
    task: str,
    seed: int,
    config: dict[str, Any],
    manifest: dict[str, Any],
    origins: dict[str, str] | None,
) -> list[Event]:
    """What a run says of itself at its start: columns, settings, data, environment, lock."""
    machine = provenance.hardware()
    public, fingerprint = _public(manifest), str(manifest.get("fingerprint", "unknown"))
    columns = {"paradigm": paradigm, "task": task, "seed": str(seed), "data": fingerprint[:12]}
    settings = {key: str(value) for key, value in flat(config).items() if key not in columns}
    texts = {
        "config.yaml": yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
        "manifest.json": json.dumps(public, indent=2, default=str),
        "environment.json": json.dumps({"machine": machine, "packages": provenance.packages()}, indent=2),
    }
    if origins:
        texts["config_origins.json"] = json.dumps(origins, indent=2)
    if lock := provenance.lock_file():
        texts[lock.name] = lock.read_text()
    return [
        {"kind": "params", "values": columns | settings},
        {"kind": "tags", "values": {"i2m2.machine": provenance.machine_digest(machine)}},
        {"kind": "data", "name": task, "fingerprint": fingerprint, "profile": public},
        *({"kind": "text", "name": name, "text": text} for name, text in texts.items()),
    ]


def flat(config: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested settings under dotted names: `{"a": {"b": 1}}` → `{"a.b": 1}`."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{before}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found


def _public(manifest: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in manifest.items() if key not in HIDDEN}
    return kept | {f"n_{key}": len(manifest[key]) for key in HIDDEN if isinstance(manifest.get(key), (list, dict))}
