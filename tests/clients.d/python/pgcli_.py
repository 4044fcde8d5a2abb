"""pgcli: its commands without a terminal, and at one (pexpect): completion that knows the tables, describing, Ctrl-C."""

import os
import subprocess
import sys
import tempfile

import pexpect
import psycopg

from checks import TABLES, Checks, await_state, equal, slow, states_sql

checks = Checks("pgcli")
program = os.path.join(os.path.dirname(sys.executable), "pgcli")
# It writes its settings there.
home = tempfile.TemporaryDirectory()
environment = os.environ | {"HOME": home.name, "XDG_CONFIG_HOME": home.name, "PAGER": "cat", "TERM": "dumb", "LC_ALL": "C.UTF-8"}
PROMPT = "> "


def pgcli(*arguments):
    done = subprocess.run([program, "-w", *arguments], env=environment, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "Traceback" not in said, said[-500:]
    return said


def states(name):
    with psycopg.connect("", autocommit=True) as other:
        return [row[0] for row in other.execute(states_sql(name))]


def shell():
    terminal = pexpect.spawn(program, ["-w", "--less-chatty", "--row-limit", "0", "--prompt", "asks" + PROMPT], env=environment, encoding="utf-8", dimensions=(60, 200), timeout=20)
    terminal.expect("asks" + PROMPT)
    return terminal


def ask(terminal, line, *expected):
    terminal.sendline(line)
    for one in expected:
        terminal.expect(one)


@checks.that("connects and answers", basic=True)
def _():
    said = pgcli("-t", "-c", "SELECT transaction_id, amount FROM ledger.transactions WHERE transaction_id = 'CLIENT-2'")
    assert "CLIENT-2" in said and "0.01" in said, said
    assert "PONG" in pgcli("--ping")
    assert os.environ["PGDATABASE"] in pgcli("--list")


@checks.that("\\d, \\dt, \\dn, \\l and \\df list")
def _():
    said = pgcli("-c", "\\dt")
    assert all(table in said for table in TABLES), said
    said = pgcli("-c", "\\d ledger.transactions")
    assert "counterparty_account" in said and "numeric(15,2)" in said and "timestamp with time zone" in said, said
    said = pgcli("-c", "\\dn")
    assert "ledger" in said and "documents" in said, said
    assert os.environ["PGDATABASE"] in pgcli("-c", "\\l")
    pgcli("-c", "\\df")
    pgcli("-c", "\\dv")
    pgcli("-c", "\\du")


@checks.that("what its completion asks of the server is answered")
def _():
    # As it does in the background; there, what fails is seen by nobody.
    from pgcli.pgexecute import PGExecute

    value = os.environ.get
    execute = PGExecute(value("PGDATABASE"), value("PGUSER"), value("PGPASSWORD"), value("PGHOST"), value("PGPORT"))
    assert "ledger" in execute.search_path(), execute.search_path()
    assert {"ledger", "documents"} <= set(execute.schemata())
    assert ("ledger", "transactions") in set(execute.tables())
    list(execute.views())
    columns = [one for one in execute.table_columns() if one[:2] == ("ledger", "transactions")]
    assert ("ledger", "transactions", "amount", "numeric") in {one[:4] for one in columns}, columns[:3]
    list(execute.view_columns())
    list(execute.foreignkeys())
    list(execute.functions())
    list(execute.datatypes())
    assert value("PGDATABASE") in execute.databases()


@checks.that("at a terminal: a table, a description, expanded rows, an error")
def _():
    terminal = shell()
    ask(terminal, "SELECT count(*) AS rows_of_it FROM transactions;", "rows_of_it", "20003", "asks" + PROMPT)
    ask(terminal, "\\d transactions", "counterparty_account", "asks" + PROMPT)
    ask(terminal, "SELECT no_such_column FROM transactions;", "no_such_column", "asks" + PROMPT)
    ask(terminal, "SELECT 40 + 2 AS answer;", "42", "asks" + PROMPT)
    ask(terminal, "\\q", pexpect.EOF)


@checks.that("at a terminal: Ctrl-C cancels; system.queries says so within 1 s")
def _():
    terminal = shell()
    terminal.sendline(slow("pgcli-cancel") + ";")
    await_state(lambda: states("slow-pgcli-cancel"), "running", 10)
    terminal.sendintr()
    await_state(lambda: states("slow-pgcli-cancel"), "cancelled", 1)
    terminal.expect("cancel")
    ask(terminal, "SELECT 41 + 1 AS answer;", "42", "asks" + PROMPT)
    ask(terminal, "\\q", pexpect.EOF)


checks.end()
