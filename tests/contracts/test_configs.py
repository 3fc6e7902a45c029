"""Laws over every shipped config: a new one is tested by being there."""

import re
from pathlib import Path

import pytest

from i2m2_med.config.reader import load_config, source_names
from i2m2_med.config.run import RunConfig
from i2m2_med.config.yaml_source import shipped
from i2m2_med.engine.prediction.build import build_model, training_of
from i2m2_med.engine.prediction.predictor import portable, read_portable
from i2m2_med.samples.cohort import compose
from i2m2_med.samples.preparing import open_source

SHIPPED = shipped()


@pytest.fixture(params=sorted(SHIPPED), scope="module")
def config(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, RunConfig]:
    run, _ = load_config(request.param, [f"source.root={tmp_path_factory.mktemp('data')}"])
    return request.param, run


def test_it_opens_with_the_command_that_runs_it(config):
    name, _ = config
    first = SHIPPED[name].read_text(encoding="utf-8").splitlines()[0]
    assert re.match(rf"# .*i2m2 (train|compare) {name}\b", first), first


def test_its_source_gives_what_its_experts_read(config):
    open_source(config[1])  # raises ConfigError where an expert reads an unknown modality


def test_its_transforms_and_networks_are_made(config):
    _, run = config
    for which in ("transforms", "train_transforms"):
        compose(run, which)
    labels = open_source(run).labels
    for paradigm in run.paradigms.values():
        training_of(run, paradigm)
        build_model(run, paradigm.experts[:1], labels, 0, paradigm.combiner)


def test_it_survives_being_written_and_read(config, tmp_path: Path):
    import yaml

    (tmp_path / "config.yaml").write_text(yaml.safe_dump(portable(config[1])), encoding="utf-8")
    assert portable(read_portable(tmp_path / "config.yaml")) == portable(config[1])


def test_every_source_ships_a_config():
    used = {load_config(name, ["source.root=."])[0].source.model_dump()["name"] for name in SHIPPED}
    assert set(source_names()) - used <= {"impk", "meds"}  # roads into the MIMIC configs, by `-s source.name=`
