"""AV-MNIST built from digits and speech: the rules of its making, on small made-up inputs and on the real ones."""

import gzip
import json
import struct
import wave
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.files import sha256_of
from i2m2_med.simulate.avmnist.audio import CLIP, noise_clip, noise_colour, spectrogram, with_noise
from i2m2_med.simulate.avmnist.inputs import SPEAKERS, Digits
from i2m2_med.simulate.avmnist.pairs import CLIPS, GROUPS, TAKES, clips_by_colour, draw_pairs, fit_projection, styles
from i2m2_med.simulate.avmnist.write import simulate

SMALL = {"train": 60, "valid": 20, "test": 20}


def write_idx(path: Path, array: np.ndarray) -> None:
    head = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes()))


def write_wav(path: Path, samples: np.ndarray, rate: int = 8000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


@pytest.fixture(scope="module")
def mnist(tmp_path_factory) -> Path:
    """120 training and 40 test "digits" of noise with a bright row that the label names."""
    folder, rng = tmp_path_factory.mktemp("mnist"), np.random.default_rng(0)
    for part, count in (("train", 120), ("t10k", 40)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = rng.integers(0, 60, (count, 28, 28), dtype=np.uint8)
        images[np.arange(count), 2 * labels + 4] += rng.integers(100, 190, (count, 1), dtype=np.uint8)
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    return folder


@pytest.fixture(scope="module")
def spoken(tmp_path_factory) -> Path:
    """3,000 "recordings", 0.04 s tones of the digit's pitch."""
    folder = tmp_path_factory.mktemp("spoken")
    for digit in range(10):
        tone = 3000 * np.sin(np.arange(300 + digit) * (digit + 1) / 5)
        for speaker in SPEAKERS:
            for take in range(50):
                write_wav(folder / f"{digit}_{speaker}_{take}.wav", tone + take)
    return folder


@pytest.fixture(scope="module")
def made(mnist, spoken, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("made") / "set"
    simulate(out, mnist=mnist, spoken=spoken, **SMALL)
    return out / "avmnist"


def test_layout(made):
    rows = {"train": 80, "test": 20}
    for part, count in rows.items():
        image, audio, labels = (
            np.load(made / name) for name in (f"image/{part}_data.npy", f"audio/{part}_data.npy", f"{part}_labels.npy")
        )
        assert (image.shape, image.dtype) == ((count, 28, 28), np.float32)
        assert (audio.shape, audio.dtype) == ((count, 112, 112), np.uint8)
        assert (labels.shape, labels.dtype) == ((count,), np.uint8)
        assert (audio.reshape(count, -1).max(axis=1) == 255).all()


def test_paired_by_label_and_disjoint_between_splits(made):
    table = pl.read_csv(made / "sources.csv")
    assert table["split"].to_list() == ["train"] * 60 + ["valid"] * 20 + ["test"] * 20
    labels = np.concatenate([np.load(made / f"{part}_labels.npy") for part in ("train", "test")])
    assert table["label"].to_list() == labels.tolist()
    assert (table["label"] == table["mnist_image"] % 10).all()  # the made-up MNIST counts through its digits
    for split in ("train", "valid", "test"):
        part = table.filter(pl.col("split") == split)
        assert set(part["take"]) <= set(TAKES[split])
        assert set(part["clip"]) <= set(CLIPS[split])
    assert table.filter(pl.col("part") == "train")["mnist_image"].is_unique().all()
    assert not set(CLIPS["train"]) & set(CLIPS["valid"]) | set(CLIPS["valid"]) & set(CLIPS["test"])
    assert [len(TAKES[split]) for split in ("train", "valid", "test")] == [40, 5, 5]


def test_manifest_holds_every_file(made):
    manifest = json.loads((made / "manifest.json").read_text(encoding="utf-8"))
    files = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()} - {"manifest.json"}
    assert manifest["files"].keys() == files
    assert all(found["sha256"] == sha256_of(made / name) for name, found in manifest["files"].items())
    assert "not comparable" in manifest["note"]


def test_same_seed_same_bytes_other_seed_other_bytes(made, mnist, spoken, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    archive = tmp_path / "recordings.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in spoken.iterdir():
            file.write(path, f"recordings/{path.name}")
    simulate(again, mnist=mnist, spoken=archive, **SMALL)
    simulate(other, mnist=mnist, spoken=spoken, seed=1, **SMALL)
    for name in ("audio/train_data.npy", "image/test_data.npy", "sources.csv"):
        assert (again / "avmnist" / name).read_bytes() == (made / name).read_bytes()
        assert (other / "avmnist" / name).read_bytes() != (made / name).read_bytes()


def test_projection_keeps_the_fewest_components_and_leaves_the_mean_out():
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.standard_normal((784, 3)))[0]
    images = (100 + (rng.standard_normal((500, 3)) * [30, 20, 10]) @ axes.T).reshape(-1, 28, 28)
    assert [fit_projection(images, share).axes.shape[1] for share in (0.2, 0.6, 0.9, 0.99)] == [1, 1, 2, 3]
    projection = fit_projection(images, 0.99)
    np.testing.assert_allclose(projection.image(images), images - images.mean(axis=0), atol=0.01)


@pytest.mark.parametrize("snr_db", [-15.0, 0.0, 7.5])
def test_snr_is_of_mean_powers_over_the_recording(snr_db):
    recording, noise = np.random.default_rng(0).integers(-3000, 3000, 900), noise_clip(3, 1)[:900]
    added = with_noise(recording, noise, snr_db) - recording
    assert 10 * np.log10(np.mean(recording.astype(float) ** 2) / np.mean(added**2)) == pytest.approx(snr_db)


def test_noise_clips_have_unit_power_and_are_their_own():
    clips = np.stack([noise_clip(2018, clip) for clip in range(5)]).astype(float)
    assert clips.shape == (5, CLIP)
    np.testing.assert_allclose((clips**2).mean(axis=1), 1, rtol=1e-4)
    assert np.abs(np.corrcoef(clips) - np.eye(5)).max() < 0.9
    np.testing.assert_array_equal(noise_clip(2018, 3), noise_clip(2018, 3))


@pytest.mark.parametrize("samples", [40, 128, 1500, 20_000])
def test_a_tone_is_a_line_at_its_frequency_whatever_its_length(samples):
    picture = spectrogram(np.sin(2 * np.pi * 1000 * np.arange(samples) / 8000))
    assert picture.shape == (112, 112)
    if samples >= 128:
        assert set(picture.argmax(axis=0)) == {round(1000 / 8000 * 224) - 1}  # without DC, bin 1 comes first


def test_silence_is_dark():
    assert spectrogram(np.zeros(500)).max() == 0


def drawn(tie: float, seed: int = 2018) -> pl.DataFrame:
    """60,000 pairs of 6,000 images of noise, 600 of each digit, with the clips of `seed`."""
    rng = np.random.default_rng(0)
    digits = Digits(rng.integers(0, 256, (6000, 28, 28), dtype=np.uint8), (np.arange(6000) % 10).astype(np.uint8))
    style = styles(fit_projection(digits.images), digits)
    rows = np.tile(np.arange(6000), 10)
    pairs = draw_pairs(
        "train", rows, digits=digits, style=style, clips=clips_by_colour("train", seed), tie=tie, rng=rng
    )
    return pl.DataFrame([pair._asdict() | {"take": f"{pair.take.speaker} {pair.take.take}"} for pair in pairs])


def entropy(pairs: pl.DataFrame, *names: str) -> float:
    """Of these columns together, in nats."""
    share = pairs.group_by(names).len()["len"].to_numpy() / len(pairs)
    return float(-(share * np.log(share)).sum())


def told(pairs: pl.DataFrame, *names: str) -> float:
    """Nats that these columns together tell of the digit."""
    return entropy(pairs, "digit") + entropy(pairs, *names) - entropy(pairs, "digit", *names)


def test_tied_style_and_colour_tell_the_digit_together_and_nothing_alone():
    pairs = drawn(1.0)
    assert told(pairs, "style", "colour") == pytest.approx(np.log(GROUPS))  # the digit modulo GROUPS
    assert told(pairs, "style") == pytest.approx(0)
    assert told(pairs, "colour") == pytest.approx(0)


def test_untied_style_and_colour_tell_nothing():
    assert told(drawn(0.0), "style", "colour") < 0.01  # by chance 0.0075: 9 · 99 / 2 degrees of freedom, 60,000 pairs


def test_the_dial_is_the_share_of_pairs_that_are_tied():
    for tie in (0.0, 0.3, 1.0):
        follows = drawn(tie).select(pl.col("colour") == (pl.col("style") + pl.col("digit")) % GROUPS).to_series().mean()
        assert follows == pytest.approx(tie + (1 - tie) / GROUPS, abs=0.01)


def test_the_dial_moves_nothing_but_which_noise_goes_with_which_image():
    tied, untied = drawn(1.0), drawn(0.0)
    assert tied.drop("clip", "colour").equals(untied.drop("clip", "colour"))
    for pairs in (tied, untied):
        assert told(pairs, "clip") < 0.04  # by chance 0.03: 9 · 399 / 2 degrees of freedom
        used = pairs["clip"].value_counts()["count"]
        assert len(used) == 400
        assert 90 < used.min() <= used.max() < 210  # 150 ± 12, Poisson


def test_untied_noise_is_drawn_whatever_its_colour():
    assert drawn(0.0, seed=1)["clip"].equals(drawn(0.0, seed=2)["clip"])


@pytest.mark.parametrize("split", CLIPS)
def test_colours_are_of_one_size_and_in_order(split):
    clips = clips_by_colour(split, 2018)
    assert sorted(clips.ravel()) == list(CLIPS[split])
    colours = np.array([[noise_colour(2018, clip) for clip in group] for group in clips.tolist()])
    assert (colours.max(axis=1)[:-1] < colours.min(axis=1)[1:]).all()


@pytest.mark.parametrize("colour", [0.0, 0.7, 2.0])
def test_the_colour_is_the_slope_of_the_spectrum(colour):
    clip = min(range(600), key=lambda clip: abs(noise_colour(2018, clip) - colour))
    power = np.abs(np.fft.rfft(noise_clip(2018, clip)))[100:] ** 2
    slope = np.polyfit(np.log(np.arange(100, 100 + len(power))), np.log(power), 1)[0]
    assert -slope == pytest.approx(noise_colour(2018, clip), abs=0.1)


def test_tied_arrays_differ_in_the_noise_only(made, mnist, spoken, tmp_path):
    simulate(tmp_path / "tied", mnist=mnist, spoken=spoken, tie=1.0, **SMALL)
    home = tmp_path / "tied" / "avmnist"
    for name in ("image/train_data.npy", "image/test_data.npy", "train_labels.npy", "test_labels.npy"):
        assert (home / name).read_bytes() == (made / name).read_bytes()
    tied, untied = (pl.read_csv(folder / "sources.csv") for folder in (home, made))
    assert tied.drop("clip", "colour").equals(untied.drop("clip", "colour"))
    assert (tied["colour"] == (tied["style"] + tied["label"]) % GROUPS).all()
    for split, clips in CLIPS.items():
        assert set(tied.filter(pl.col("split") == split)["clip"]) <= set(clips)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"train": 0}, "--train is 0"),
        ({"train": 60_000, "valid": 1}, r"train \+ --valid is 60001"),
        ({"test": 10_001}, "--test is 10001"),
        ({"train": 200}, "this MNIST has 120"),
        ({"tie": 1.5}, "--tie is 1.5"),
        ({"snr_db": float("nan")}, "--snr-db is nan"),
    ],
)
def test_numbers_that_can_not_be_are_refused(settings, says, mnist, spoken, tmp_path):
    with pytest.raises(ConfigError, match=says):
        simulate(tmp_path / "out", mnist=mnist, spoken=spoken, **(SMALL | settings))
    assert not (tmp_path / "out").exists()


def copy_of(folder: Path, to: Path) -> Path:
    to.mkdir()
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


BROKEN_MNIST = {
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-10]), "truncated"),
    "not gzip": (lambda path: path.write_text("MNIST", encoding="utf-8"), "truncated or not gzip"),
    "other content": (lambda path: path.write_bytes(gzip.compress(b"\0" * 60)), "not the idx file"),
    "short": (lambda path: path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-9])), "not whole"),
    "missing": (lambda path: path.unlink(), "is not there"),
}


@pytest.mark.parametrize("case", BROKEN_MNIST)
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
def test_broken_mnist_is_one_clear_line(case, name, mnist, spoken, tmp_path):
    damage, says = BROKEN_MNIST[case]
    folder = copy_of(mnist, tmp_path / "mnist")
    damage(folder / name)
    with pytest.raises(SourceError, match=says) as caught:
        simulate(tmp_path / "out", mnist=folder, spoken=spoken, **SMALL)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


BROKEN_SPEECH = {
    "0 samples": (lambda path: write_wav(path, np.zeros(0)), "0 samples"),
    "another rate": (lambda path: write_wav(path, np.ones(300), rate=16_000), "16000 Hz"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:30]), "not a whole wav"),
    "not a wav": (lambda path: path.write_text("spoken", encoding="utf-8"), "not a whole wav"),
    "missing": (lambda path: path.unlink(), "lacks 3_theo_7.wav"),
}


@pytest.mark.parametrize("case", BROKEN_SPEECH)
def test_a_broken_recording_is_one_clear_line(case, mnist, spoken, tmp_path):
    damage, says = BROKEN_SPEECH[case]
    folder = copy_of(spoken, tmp_path / "spoken")
    damage(folder / "3_theo_7.wav")
    with pytest.raises(SourceError, match=says) as caught:
        simulate(tmp_path / "out", mnist=mnist, spoken=folder, **SMALL)
    assert "3_theo_7.wav" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_missing_speaker_and_a_truncated_zip_are_named(mnist, spoken, tmp_path):
    folder = tmp_path / "five"
    folder.mkdir()
    for path in spoken.glob("[0-9]_[g-n]*.wav"):
        (folder / path.name).symlink_to(path)
    with pytest.raises(SourceError, match="speaker theo, yweweler"):
        simulate(tmp_path / "out", mnist=mnist, spoken=folder, **SMALL)
    (tmp_path / "recordings.zip").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(SourceError, match="not a zip"):
        simulate(tmp_path / "out", mnist=mnist, spoken=tmp_path / "recordings.zip", **SMALL)


def test_an_output_folder_with_something_in_it_is_left_alone(made, mnist, spoken):
    before = sorted(path.name for path in made.iterdir())
    with pytest.raises(Exception, match="already holds something"):
        simulate(made.parent, mnist=mnist, spoken=spoken, **SMALL)
    assert sorted(path.name for path in made.iterdir()) == before


@pytest.mark.slow
def test_real_digits_and_speech_need_four_components(shared_data, tmp_path):
    result = simulate(
        tmp_path / "out", mnist=shared_data / "mnist", spoken=shared_data / "fsdd", train=300, valid=50, test=50
    )
    assert result["components"] == 4
    assert np.load(tmp_path / "out/avmnist/audio/train_data.npy").std() > 20
