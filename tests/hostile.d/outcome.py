"""What became of a hostile statement.

What must stay true: an answer is read to its end or to a bound, whichever comes first; a fault of the way there is told apart from an error of the statement.
"""

from dataclasses import dataclass

# Rows that a hostile user may have of one statement, and how long it may take: the settings of its role.
ROWS = 50_000
TIMEOUT_MS = 1_500
USER = "guest"
PASSWORD = "guest:/@ 1"
WATCHER = "watcher"
SETTINGS = f"""
[sql.roles.guest]
rows = {ROWS}
statement_timeout_ms = {TIMEOUT_MS}
memory_mib = 64
[[sql.users]]
name = "{USER}"
role = "guest"
password = "{PASSWORD}"
[[sql.users]]
name = "{WATCHER}"
role = "local"
password = "{PASSWORD}"
"""


@dataclass
class Outcome:
    """An error, or an answer."""

    rows: int = 0
    # The first row's first value.
    value: object = None
    error: str = ""
    # Of the error, where the protocol has one.
    sqlstate: str = ""
    # The connection ended with it, and nothing told why.
    broken: bool = False
