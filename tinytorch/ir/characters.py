"""Text for outputs that cannot hold every character, such as a terminal or a log in ASCII."""

from __future__ import annotations

import codecs
import sys
import unicodedata

_PLAIN = {
    "µ": "u", "μ": "u", "×": "x", "·": "*", "–": "-", "—": "-", "−": "-", "′": "'", "“": '"', "”": '"', "→": "->",
    "←": "<-", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "±": "+-", "√": "sqrt ", "Σ": "sum ", "ᵀ": "^T", "✓": "yes",
    "✗": "no", "─": "-", "│": "|", "█": "#",
}  # fmt: skip
PLAINLY = "tinytorch.plainly"  # what to do with characters that an encoding does not have, by its name in `codecs`


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """In place of characters: what says the same in ASCII, else what they are made of there, else "?"."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    made_of = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return _PLAIN.get(character) or made_of or "?"


codecs.register_error(PLAINLY, _plainly)


def printable(text: str) -> str:
    """`text` as the standard output can hold it."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, PLAINLY).decode(encoding)
