"""Laws over every data set: what its `Source` declares is there, and of the kind that shared code asks for."""

import inspect
from importlib import import_module
from typing import Any

import pytest
from pydantic import BaseModel

from i2m2_med.config.reader import load_config, source_names
from i2m2_med.config.yaml_source import shipped
from i2m2_med.samples.shifts import Shift, Suite
from i2m2_med.sources.source import Source

NAMES = source_names()


@pytest.fixture(params=NAMES)
def source(request: pytest.FixtureRequest, tmp_path) -> Source:
    module = import_module(f"i2m2_med.sources.{request.param}")
    return module.Source(module.Settings.model_validate({**asked(module.Settings, request.param), "root": tmp_path}))


def asked(settings: type[BaseModel], name: str) -> dict[str, Any]:
    """Settings as a shipped config has them, of a data set that asks for more than its root; else none."""
    if not any(field.is_required() for key, field in settings.model_fields.items() if key != "root"):
        return {}
    runs = (load_config(each, ["source.root=."])[0] for each in shipped())
    return next(run.source.model_dump() for run in runs if run.source.model_dump()["name"] == name)


def test_it_knows_its_name(source, request):
    assert source.name == request.node.callspec.params["source"]


def test_it_says_for_a_person_how_a_study_has_to_look(source):
    assert source.expects()
    assert inspect.getdoc(Source.study) not in source.expects()


def test_what_draws_it_draws(source):
    if source.pictured_by is not None:
        assert callable(import_module(source.pictured_by).draw_prepared)
    if source.drawn_by is not None:
        assert callable(import_module(source.drawn_by).draw_example)


def test_its_shifts_grow_and_have_a_unit(source):
    if source.shifted_by is None:
        return
    suite = import_module(source.shifted_by).SUITE
    assert isinstance(suite, Suite)
    assert suite.shifts
    for shift in suite.shifts.values():
        assert isinstance(shift, Shift)
        assert shift.unit
        assert len(set(shift.severities)) == len(shift.severities) > 1
        assert list(shift.severities) in (sorted(shift.severities), sorted(shift.severities, reverse=True))


def test_what_shows_its_images_shows_them_and_tells_its_transforms(source):
    if source.imaged_by is not None:
        module = import_module(source.imaged_by)
        assert callable(module.study_images)
        assert module.keeps_pixels(()) is True


def test_its_bounds_are_of_private_columns_and_leave_room(source):
    for column, bound in source.bounds.items():
        assert column.startswith("_"), column
        assert bound.names
        assert bound.slack >= 1


def test_its_label_rules_are_of_its_labels(source):
    assert set(source.label_rules) <= set(source.labels.names)


def test_groups_are_held_apart_by_a_subgroup(source):
    assert source.held_apart_by is None or source.held_apart_by.startswith("group_")
