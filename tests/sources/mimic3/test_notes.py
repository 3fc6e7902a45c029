"""Notes: what may be read, when, and how it becomes tokens."""

import csv
import gzip
from itertools import chain, pairwise
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from i2m2_med.sources.mimic3 import Settings
from i2m2_med.sources.mimic3.settings import Notes
from i2m2_med.sources.text.tokens import HOUR_TOKENS, hour_token, token

from .conftest import Build, Built
from .small import note, small_tables, write_tables

MONDAY, TUESDAY = "2150-01-01", "2150-01-02"


def with_notes(build: Build, folder: Path, *notes: dict, **settings: object) -> Built:
    return build(write_tables(folder, small_tables(NOTEEVENTS=list(notes))), notes=settings)


def words(built: Built, row: int = 0) -> int:
    """How many words of a sample's notes are there."""
    return int((built.arrays["notes"][row] > HOUR_TOKENS).sum())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ISERROR": "1"}, "marked as error"),
        ({"CATEGORY": "Discharge summary"}, "category not allowed"),
        ({"CATEGORY": "Case Management "}, "category not allowed"),
        ({"CHARTTIME": "2150-01-02 12:00:01"}, "after the window"),
        ({"STORETIME": "2150-01-02 13:00:00"}, "after the window"),
        ({"CHARTTIME": None, "STORETIME": None, "CHARTDATE": TUESDAY}, "after the window"),
        ({"CHARTTIME": None, "STORETIME": None, "CHARTDATE": None}, "no time"),
        ({"HADM_ID": 55}, "of another admission"),
        ({"HADM_ID": None, "CHARTTIME": "2149-01-01 00:00:00", "STORETIME": None}, "of another admission"),
        ({"TEXT": "  "}, "empty"),
    ],
)
def test_what_may_not_be_read_is_counted(build: Build, tmp_path: Path, change: dict, reason: str) -> None:
    built = with_notes(
        build, tmp_path / "t", note(1, 3.0, "Pt resting.", row=1) | change, note(2, 3.0, "Pt resting.", row=2)
    )
    assert built.records["has_notes"].to_list() == [False, True]
    assert built.flow.audits["notes"][f"left out: {reason}"] == 1
    assert built.flow.audits["notes"]["kept"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"CHARTTIME": "2150-01-02 12:00:00", "STORETIME": None},
        {"CHARTTIME": None, "STORETIME": None, "CHARTDATE": MONDAY},  # known when its day is over
        {"HADM_ID": None},
        {"CATEGORY": "Physician "},
        {"CATEGORY": "nursing"},
    ],
)
def test_what_may_be_read(build: Build, tmp_path: Path, change: dict) -> None:
    built = with_notes(build, tmp_path / "t", note(1, 3.0, "Pt resting.", row=1) | change)
    assert built.records["has_notes"].to_list() == [True, False]
    assert words(built) == 3


def test_addenda_repeat_and_are_read_once(build: Build, tmp_path: Path) -> None:
    report = "CHEST (PORTABLE AP): no effusion."
    built = with_notes(
        build,
        tmp_path / "t",
        note(1, 3.0, report, row=1, CATEGORY="Radiology"),
        note(1, 3.5, report.lower() + "\n", row=2, CATEGORY="Radiology"),
        note(1, 5.0, f"{report}\nADDENDUM: tube in place.", row=3, CATEGORY="Radiology", DESCRIPTION="Addendum"),
        note(1, 6.0, report, row=4, CATEGORY="Physician"),
    )
    assert built.flow.audits["notes"]["left out: repeated by another (addenda)"] == 2
    assert built.flow.audits["notes"]["kept"] == 2


def test_outcome_words_are_reported_not_removed(build: Build, tmp_path: Path) -> None:
    built = with_notes(
        build,
        tmp_path / "t",
        note(1, 3.0, "Family wishes CMO. Comfort measures only.", row=1),
        note(2, 3.0, "CMOs unexpired", row=2),
    )
    assert built.flow.audits["notes"]["outcome_words"] == {"cmo": 1, "comfort measures": 1}
    assert built.records["has_notes"].all()


def test_chunks_say_their_hour_and_the_latest_are_kept(build: Build, tmp_path: Path) -> None:
    notes = [note(1, hour, f"{word} " * (hour + 1), row=hour) for hour, word in ((1, "one"), (5, "five"), (9, "nine"))]
    built = with_notes(build, tmp_path / "t", *notes, chunks=2, tokens=8, overlap=2)
    assert built.arrays["notes"].shape == (2, 2, 8)
    assert built.arrays["notes"][0, :, 0].tolist() == [hour_token(9.0)] * 2
    one = with_notes(build, tmp_path / "u", *notes, chunks=4, tokens=16, overlap=4)
    assert one.arrays["notes"][0, :, 0].tolist() == [hour_token(1.0), hour_token(5.0), hour_token(9.0), 0]
    assert hour_token(-3.0) == hour_token(0.0) == 1
    assert hour_token(500.0) == HOUR_TOKENS


def test_chunks_overlap_and_cover_the_note(build: Build, tmp_path: Path) -> None:
    text = " ".join(f"w{'abcdefghijklmnopqrstuvwxyz'[n]}" for n in range(20))
    built = with_notes(build, tmp_path / "t", note(1, 3.0, text, row=1), chunks=8, tokens=8, overlap=2)
    chunks = [[int(t) for t in chunk[1:] if t] for chunk in built.arrays["notes"][0] if chunk[0]]
    whole = [token(word, 20_000) for word in text.split()]
    assert chunks[0] == whole[:7]
    assert all(later[:2] == earlier[-2:] for earlier, later in pairwise(chunks))
    assert set(chain(*chunks)) == set(whole)


def test_a_note_of_five_megabytes_and_damaged_bytes(build: Build, tmp_path: Path) -> None:
    root = write_tables(
        tmp_path / "t",
        small_tables(NOTEEVENTS=[note(1, 3.0, "temp 38 C\n" * 500_000, row=1), note(2, 3.0, "temp DEG", row=2)]),
    )
    path = root / "NOTEEVENTS.csv.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"DEG", b"38\xb0"), 1))
    built = build(root, notes={})
    assert built.flow.audits["notes"]["over 1 MB"] == 1
    assert built.flow.audits["notes"]["with damaged characters"] == 1
    assert built.records["has_notes"].all()


def test_quoted_text_over_many_lines_is_read_whole(build: Build, tmp_path: Path) -> None:
    text = 'Line one,\n"quoted", then\r\n\nend.'
    built = with_notes(build, tmp_path / "t", note(1, 3.0, text, row=1), note(2, 4.0, "short", row=2))
    assert words(built) == len(["line", "one", ",", '"', "quoted", '"', ",", "then", "end", "."])
    assert words(built, 1) == 1


def test_no_notes_at_all(build: Build, demo: Path) -> None:
    built = build(demo, notes={})
    assert not built.records["has_notes"].any()
    assert not built.arrays["notes"].any()


@pytest.mark.parametrize("category", ["Discharge summary", " DISCHARGE SUMMARY ", "Dis\u00adcharge summary"])
def test_discharge_summaries_can_not_be_asked_for(category: str) -> None:
    with pytest.raises(ValidationError, match="discharge summary"):
        Notes(categories=("Nursing", category))
    with pytest.raises(ValidationError, match="overlap"):
        Notes(tokens=16, overlap=16)
    assert Settings(root=Path("x"), notes={}).notes == Notes()  # type: ignore[arg-type]


def test_text_of_real_clinical_notes(build: Build, shared_data: Path, tmp_path: Path) -> None:
    """Openly licensed notes of nobody in MIMIC, in NOTEEVENTS form: only that they pass."""
    sources = sorted((shared_data / "clinical_notes" / "aci_bench").rglob("*.csv"))
    with next(path for path in sources if "metadata" not in path.name).open(encoding="utf-8", newline="") as file:
        texts = [row["note"] for row in csv.DictReader(file)][:30]
    notes = [note(1 + n % 2, 0.5 * n, text, row=n) for n, text in enumerate(texts)]
    built = with_notes(build, tmp_path / "t", *notes)
    assert built.flow.audits["notes"]["kept"] == len(texts)
    assert words(built) > 500
    assert pl.Series(built.arrays["notes"].ravel()).n_unique() > 200


@pytest.mark.slow  # importing transformers takes as long as all other tests here
def test_word_pieces_of_a_local_tokenizer(build: Build, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra [text] is not installed")
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "skin", "warm"]
    (tmp_path / "vocab.txt").write_text("\n".join(known), encoding="utf-8")
    transformers.BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "tokenizer")
    built = with_notes(
        build, tmp_path / "t", note(1, 3.0, "Skin WARM, dry.", row=1), tokenizer=tmp_path / "tokenizer", chunks=2
    )
    pieces = [known.index(word) + 1 for word in ("[CLS]", "skin", "warm", "[UNK]", "[UNK]", "[UNK]", "[SEP]")]
    assert built.arrays["notes"][0, 0, : len(pieces) + 1].tolist() == [*pieces, 0]
    assert not built.arrays["notes"][0, 1].any()
    assert built.records["has_notes"].to_list() == [True, False]
