"""What experts may read."""

import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.errors import ConfigError
from i2m2_med.samples.preparing import open_source


def test_an_unknown_modality_is_answered_with_each_that_is_there_once_and_where_others_come_from(tmp_path):
    run, _ = load_config(
        "knee_demo", (f"source.root={tmp_path}", "experts.joint.reads=[clinical]", "evaluation.primary=null")
    )
    with pytest.raises(ConfigError) as caught:
        open_source(run)
    said = str(caught.value)
    assert said.count("magnitude") == said.count("phase") == 1
    for word in ("'clinical'", "modalities.transforms", "keys", "outputs", "plugins"):
        assert word in said
