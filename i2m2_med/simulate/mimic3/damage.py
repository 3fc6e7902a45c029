"""Damage to studies of intensive-care stays: tables, JSON and notes that are broken, lie, or come from the future."""

from collections.abc import Callable
from pathlib import Path

from i2m2_med.simulate.damage import Damage

WHOLE = "series+static+notes"


def series_damage(change: Callable[[list[str]], list[str]]) -> Callable[[Path, Path], None]:
    """Damage to the lines of `series.csv`, the header being the first."""

    def inflict(study: Path, _: Path) -> None:
        path = study / "series.csv"
        path.write_text("\n".join(change(path.read_text(encoding="utf-8").splitlines())) + "\n", encoding="utf-8")

    return inflict


def added(line: str) -> Callable[[Path, Path], None]:
    """One more line in `series.csv`."""
    return series_damage(lambda lines: [*lines, line])


def encoded(encoding: str) -> Callable[[Path, Path], None]:
    """`series.csv` in another encoding, with a degree sign in it."""

    def inflict(study: Path, _: Path) -> None:
        path = study / "series.csv"
        path.write_bytes(path.read_text(encoding="utf-8").replace("degC", "°C").encode(encoding))

    return inflict


def static_damage(old: str, new: str) -> Callable[[Path, Path], None]:
    """`static.json` with one piece of text, from `old` to the next comma, replaced."""

    def inflict(study: Path, _: Path) -> None:
        path = study / "static.json"
        start, _key, rest = path.read_text(encoding="utf-8").partition(old)
        path.write_text(start + new + rest[rest.index(",") :], encoding="utf-8")

    return inflict


def static_is(text: str) -> Callable[[Path, Path], None]:
    """`static.json` holds something else."""

    def inflict(study: Path, _: Path) -> None:
        (study / "static.json").write_text(text, encoding="utf-8")

    return inflict


def note(name: str, text: bytes) -> Callable[[Path, Path], None]:
    """One more note."""

    def inflict(study: Path, _: Path) -> None:
        (study / "notes" / name).write_bytes(text)

    return inflict


def shifted(hours: float) -> Callable[[list[str]], list[str]]:
    """All times later by so many hours."""

    def change(lines: list[str]) -> list[str]:
        cells = [line.split(",", 1) for line in lines[1:]]
        return [lines[0], *(f"{float(time) + hours:g},{rest}" for time, rest in cells)]

    return change


DAMAGE = (
    Damage("series_column_missing", "refused", WHOLE, series_damage(lambda lines: [line.rpartition(",")[0] for line in lines])),
    Damage("series_wrong_delimiter", "refused", WHOLE, series_damage(lambda lines: [line.replace(",", ";") for line in lines])),
    Damage("series_latin1", "refused", WHOLE, encoded("latin-1")),
    Damage("series_unknown_unit", "refused", WHOLE, added("3.5,heart_rate,80,stone")),
    Damage("series_value_not_a_number", "refused", WHOLE, added("3.5,heart_rate,8O,bpm")),
    Damage("series_value_infinite", "refused", WHOLE, added("3.5,heart_rate,inf,bpm")),
    Damage("series_time_not_a_number", "refused", WHOLE, added("yesterday,heart_rate,80,bpm")),
    Damage("series_cut_in_a_line", "refused", WHOLE, series_damage(lambda lines: [*lines[:-1], lines[-1].partition(",")[0]])),
    Damage("series_formula_as_concept", "scored", WHOLE, added("3.5,=cmd|' /C calc'!A0,80,bpm")),
    Damage("series_unknown_concept", "scored", WHOLE, added("3.5,shoe_size,43,EU")),
    Damage("static_cut_off", "refused", WHOLE, static_is('{"age_years": 61.5, "aids": fal')),
    Damage("static_is_a_list", "refused", WHOLE, static_is("[61.5, false, false, false]\n")),
    Damage("static_age_impossible", "refused", WHOLE, static_damage('"age_years":', '"age_years": -5')),
    Damage("static_nested_deeply", "refused", WHOLE, static_is("[" * 100_000)),
    Damage("note_not_utf8", "refused", WHOLE, note("008.000_nursing.txt", b"temp 38\xb0 overnight\n")),
    Damage("series_utf16", "refused", WHOLE, encoded("utf-16")),
    Damage("series_nul_bytes", "refused", WHOLE, added("3.5,heart_rate,8\0,bpm")),
    Damage("series_cell_of_a_megabyte", "refused", WHOLE, added("3.5,heart_rate," + "9" * 2**20 + ",bpm")),
    Damage("series_header_only", "scored", WHOLE, series_damage(lambda lines: lines[:1])),
    Damage("series_extra_column", "scored", WHOLE, series_damage(lambda lines: [f"{line},comment" for line in lines])),
    Damage("series_repeated_lines", "scored", WHOLE, series_damage(lambda lines: [*lines, *lines[1:]])),
    Damage("series_impossible_value", "scored", WHOLE, added("3.5,heart_rate,99999,bpm")),
    Damage("series_before_admission", "scored", WHOLE, series_damage(shifted(-1000.0))),
    Damage("series_after_the_window", "scored", WHOLE, series_damage(shifted(1000.0))),
    Damage("static_number_too_large", "refused", WHOLE, static_damage('"age_years":', '"age_years": 1e999')),
    Damage("static_unknown_admission_type", "refused", WHOLE, static_is('{"age_years": 61, "aids": false, "hematologic_malignancy": false, "metastatic_cancer": false, "admission_type": "walk-in"}')),
    Damage("static_age_missing", "refused", WHOLE, static_is('{"aids": false, "hematologic_malignancy": false, "metastatic_cancer": false, "admission_type": "medical"}')),
    Damage("note_without_time", "scored", WHOLE, note("nursing.txt", b"Resting in bed.\n")),
    Damage("note_of_the_future", "scored", WHOLE, note("900.000_physician.txt", b"Expired with family at bedside.\n")),
    Damage("note_of_two_megabytes", "scored", WHOLE, note("008.000_nursing.txt", b"Resting in bed. " * 2**17)),
)  # fmt: skip
"""The first half is also done where knee and intensive-care studies are mixed."""
