"""YAML and JSON bombs end in one line at once; what YAML reads as something else than it looks is refused."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2m2_med import cli
from i2m2_med.documents import MOST, NotPlain, load_yaml, read_json, read_yaml, write_yaml


@contextmanager
def at_once() -> Iterator[None]:
    """Processor time of this thread: other people's work does not count."""
    start = time.thread_time()
    yield
    assert time.thread_time() - start < 20  # not minutes: what is hostile costs no more than what is not


def repeated(form: str, levels: int = 10) -> str:
    """Each level repeats the one before it nine times."""
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{n}: &a{n} {form.format(', '.join([f'*a{n - 1}'] * 9))}" for n in range(1, levels)]
    return "\n".join(lines)


YAML_BOMBS = {
    "brackets": "[" * 3_000,
    "brackets to the limit": "[" * 250_000,
    "mappings": "{a: " * 3_000,
    "keys": "? " * 100_000,
    "dashes": "- " * 100_000,
    "aliases": repeated("[{}]"),
    "merges": repeated("{{<<: [{}]}}"),
    "merge of a merge": "a: &a {k: 1}\n" + "\n".join(f"b{n}: &a {{<<: [*a, *a]}}" for n in range(40)),
    "itself": "a: &a {<<: *a}",
    "itself, deeper": "a: &a [{b: [*a]}]",
    "digits": "a: " + "9" * 6_000,
    "hexadecimal": "a: 0x" + "f" * 6_000,
    "binary": "a: 0b" + "1" * 6_000,
    "quoted number": f"a: !!int '{'9' * 6_000}'",
    "infinite": "a: 1e400",
    "many": "[" + "x, " * (MOST + 1) + "]",
    "long": "a: " + "x" * (1 << 20),
    "code": "!!python/object/apply:os.system [true]",
    "no YAML": "a: [",
    "NUL": "a: \0",
    "not UTF-8": b"a: \xff\xfe\xfd",
    "two documents": "a: 1\n--- \nb: 1",
    "twice": "a: 1\nb: 2\n'a': 3",
    "twice, deeper": "[{a: {b: 1, b: 2}}]",
    "merged twice": "a: &a {k: 1}\nb: {<<: *a, <<: *a}",
}

JSON_BOMBS = {
    "lists": b"[" * 100_000,
    "objects": b'{"a":' * 100_000,
    "not closed": b'{"a": [1',
    "digits": b'{"a": ' + b"9" * 6_000 + b"}",
    "infinite": b'{"a": 1e400}',
    "twice": b'{"a": 1, "a": 2}',
    "many": b"[" + b"1," * 1_000_000 + b"1]",
    "quotes": b'"' * 1_000_000,
    "long": b" " * (1 << 23),
    "not UTF-8": b"\xff\xfe\xfd",
}


@pytest.mark.parametrize("name", YAML_BOMBS)
def test_a_yaml_bomb_is_one_line_at_once(name: str):
    with at_once(), pytest.raises(NotPlain, match=r"^[^\n]{1,300}$"):
        read_yaml(YAML_BOMBS[name])


@pytest.mark.parametrize("name", JSON_BOMBS)
def test_a_json_bomb_is_one_line_at_once(name: str):
    with at_once(), pytest.raises(NotPlain, match=r"^[^\n]{1,300}$"):
        read_json(JSON_BOMBS[name])


@pytest.mark.parametrize("name", YAML_BOMBS)
def test_a_config_that_is_a_bomb_is_one_line_and_exit_code_1(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bomb = YAML_BOMBS[name]
    path = tmp_path / "bomb.yaml"
    path.write_bytes(bomb if isinstance(bomb, bytes) else bomb.encode())
    with at_once():
        assert cli.main(["check", str(path)]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "bomb.yaml" in said


@pytest.mark.parametrize(
    "text",
    [
        "010",
        "-017",
        "1:30",
        "12:30:45.5",
        "off",
        "no",
        "yes",
        "On",
        "NO",
        "2024-01-02",
        "2024-01-02 10:00:00",
        "0_7",
    ],
)
def test_what_yaml_reads_as_something_else_is_refused_with_what_to_write(text: str):
    for document in (f"a: {text}", f"[{text}]", f"{text}: 1", f"a: {{b: [{text}]}}"):
        with pytest.raises(NotPlain, match=r"quotes"):
            read_yaml(document)
    assert read_yaml(f"a: '{text}'") == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1_000", 1000),
        ("0", 0),
        ("-0.5", -0.5),
        ("0.10", 0.1),
        ("true", True),
        ("null", None),
        ("1.2.3", "1.2.3"),
    ],
)
def test_what_looks_plain_is_read_as_it_looks(text: str, value: object):
    assert read_yaml(f"a: {text}") == {"a": value}


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | WORDS,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(WORDS, inside, max_size=4),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(PLAIN)
def test_what_is_written_is_read(value: object):
    """What PyYAML and Python write is read as it was: no config or model folder of ours is refused."""
    assert read_yaml(write_yaml(value)) == value
    if "inf" not in repr(value):
        assert read_json(json.dumps(value).encode()) == value


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab:-?[]{}&*<>!|'\"#%@,. \n1", max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text: str):
    with suppress(NotPlain):  # anything else is a bug
        load_yaml(text)
