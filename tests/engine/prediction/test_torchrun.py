"""What the environment says of other processes is read wholly or refused in a line."""

import pytest

from i2m2_med.engine.prediction.seed import device_for
from i2m2_med.engine.prediction.torchrun import local_rank, started
from i2m2_med.errors import UserError

NAMES = ("WORLD_SIZE", "RANK", "LOCAL_RANK")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("said", "count", "own"),
    [((), 1, 0), (("", "", ""), 1, 0), (("1", "0", "0"), 1, 0), (("1", "x", "y"), 1, 0), (("3", "2", "1"), 3, 1)],
)
def test_processes_are_counted_and_one_alone_is_the_first(
    said: tuple[str, ...], count: int, own: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in zip(NAMES, said, strict=False):
        monkeypatch.setenv(name, value)
    assert (started(), local_rank()) == (count, own)


@pytest.mark.parametrize(
    "said", [("two",), ("0",), ("-3",), ("2",), ("2", "2"), ("2", "-1"), ("2", "0", "gpu"), ("²",)]
)
def test_nonsense_is_one_line(said: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(NAMES, said, strict=False):
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="unset it for one process") as caught:
        local_rank()
    assert "\n" not in str(caught.value)


def test_a_number_left_in_the_environment_chooses_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "5")
    assert device_for("cuda") == "cuda"
