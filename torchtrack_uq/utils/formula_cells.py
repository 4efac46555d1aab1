"""Text that a spreadsheet would run: names such as `=HYPERLINK(...)` are written behind an apostrophe, read without.

As OWASP advises against CSV injection (https://owasp.org/www-community/attacks/CSV_Injection). Numbers stay what they
are.
"""

import re

_RUN = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def guarded(text: str) -> str:
    """The text as it is written into a table.

    >>> guarded("=1+1"), guarded("-3"), guarded("cell-3"), guarded("'=x")
    ("'=1+1", '-3', 'cell-3', "''=x")
    """
    return f"'{text}" if _RUN.match(text) and not _NUMBER.fullmatch(text) else text


def unguarded(text: str) -> str:
    """The text that was written so.

    >>> unguarded("'=1+1"), unguarded("-3"), unguarded("'tis"), unguarded("''=x")
    ('=1+1', '-3', "'tis", "'=x")
    """
    return text[1:] if text.startswith("'") and guarded(text[1:]) == text else text
