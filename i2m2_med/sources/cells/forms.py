"""The form of a cell: what may be shown of it where its value may not."""

import re

LONGEST = 40
KEPT = re.compile(r"(?<=\d)T(?=\d)|(?<=\d)Z$|\b(?:UTC|GMT|AM|PM|NaN|NULL)\b")


def form_of(cell: str) -> str:
    """The form of a cell: digits as d (other scripts' as D), letters as a, marks as they are; T, Z, UTC, AM, PM between digits stay.

    >>> form_of("2150-01-02T10:20 UTC"), form_of("Smith, 48 y")
    ('dddd-dd-ddTdd:dd UTC', 'aaaaa, dd a')
    """
    shown: list[str] = []
    kept = {place for match in KEPT.finditer(cell) for place in range(*match.span())}
    for place, sign in enumerate(cell[:LONGEST]):
        if place in kept:
            shown.append(sign)
        elif sign.isdigit():
            shown.append("d" if sign.isascii() else "D")
        elif sign.isalpha():
            shown.append("a")
        else:
            shown.append(sign if sign.isprintable() and sign != "\ufffd" else "?")
    return "".join(shown) + "…" * (len(cell) > LONGEST)
