#!/usr/bin/env bash
# psql: its own commands, parameters as variables, \watch, \copy, cursors by FETCH_COUNT, Ctrl-C. Where and who stands in libpq's variables.
# What must stay true: one line a check, and a check that fails says what psql said.
# shellcheck disable=SC2317,SC1003 # checks are called by their names; a backslash at the end of a text is one
set -u
basics=''
if [ "${1:-}" = basics ]; then basics=yes; fi
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export PSQL_HISTORY=/dev/null PAGER=cat PSQL_PAGER=cat PGCONNECT_TIMEOUT=10 LC_ALL=C.UTF-8

failed=0
said=''
# check WHAT COMMAND…: ok where the command ends well.
check() {
    local what=$1; shift
    if "$@"; then
        echo "ok: psql: $what"
    else
        failed=1
        echo "FAILED: psql: $what ($(tr -s '[:space:]' ' ' <<<"$said" | cut -c1-600))"
    fi
}
# asks ARGUMENT…: psql without anybody's ~/.psqlrc, ending at the first error; what it says stays in `said`.
asks() { said=$(timeout 60 psql -X -v ON_ERROR_STOP=1 "$@" 2>&1); }
# types LINES: the same as typed line by line.
types() { said=$(timeout 60 psql -X -v ON_ERROR_STOP=1 2>&1 <<<"$1"); }
says() {
    local one
    for one in "$@"; do
        case $said in *"$one"*) ;; *) said="no \`$one\` in: $said"; return 1 ;; esac
    done
}

connects() { asks -At -c "SELECT transaction_id, amount, is_anomaly, counterparty_account IS NULL FROM ledger.transactions WHERE transaction_id = 'CLIENT-1'" && [ "$said" = 'CLIENT-1|9999999999999.99|f|t' ]; }
conninfo() { asks -c '\conninfo' && says "database \"$PGDATABASE\"" "user \"$PGUSER\""; }
encrypted() { asks -c '\conninfo' && says 'SSL connection (protocol: TLSv1.'; }
refused() { ! PGPASSWORD=not-it asks -c 'SELECT 1' && says 'password authentication failed'; }
nobody() { ! PGUSER=nobody-of-this-name asks -c 'SELECT 1' && says 'authentication failed'; }
preferred() { PGSSLMODE=prefer asks -At -c 'SELECT 1' && [ "$said" = 1 ]; }
plain() { ! PGSSLMODE=disable asks -c 'SELECT 1'; }

lists() {
    asks -c '\d' && says transactions risk_alerts user_profiles || return 1
    asks -c '\dt' && says transactions risk_alerts user_profiles || return 1
    asks -c '\dt documents.*' && says transaction_metadata explanations || return 1
    asks -c '\dt *.*' && says transactions explanations throughput || return 1
    asks -c '\dt+' && says transactions
}
describes() {
    local name
    asks -c '\d ledger.transactions' || return 1
    for name in transaction_id counterparty_account 'amount .*| numeric(15,2) ' 'timestamp .*| timestamp with time zone ' 'is_anomaly .*| boolean ' 'risk_score .*| integer ' 'seq .*| bigint '; do
        grep -qE "^ ${name//[()]/.}" <<<"$said" || { said="no $name in $said"; return 1; }
    done
    grep -qE '^ amount .*not null' <<<"$said" || return 1
    asks -c '\d transactions' && says counterparty_account || return 1
    asks -c '\d+ ledger.transactions' && says counterparty_account || return 1
    asks -c '\d documents.explanations' && says reasons
}
unknown_table() { asks -c '\d ledger.no_such_table'; says 'Did not find any relation'; }
others() {
    asks -c '\dn' && says ledger documents metrics || return 1
    asks -c '\l' && says "$PGDATABASE" || return 1
    local command
    for command in '\df' '\dv' '\di' '\dm' '\ds' '\du' '\dT' '\db' '\dx' '\dp' '\dn+' '\l+' '\dconfig statement_timeout' '\sv' '\encoding' '\dy' '\dC' '\do' '\da'; do
        # One that wants a name is there to be told so.
        [ "$command" != '\sv' ] || continue
        asks -c "$command" || { said="$command: $said"; return 1; }
    done
}
gdesc() {
    types 'SELECT transaction_id, amount, "timestamp", is_anomaly, risk_score, seq, NULL AS nothing FROM ledger.transactions \gdesc' || return 1
    grep -qE 'amount +\| numeric\(15,2\)' <<<"$said" && grep -qE 'timestamp +\| timestamp with time zone' <<<"$said" && grep -qE 'is_anomaly +\| boolean' <<<"$said" && grep -qE 'seq +\| bigint' <<<"$said"
}
several() {
    asks -At -c "SELECT 1; SELECT 'a;b'; SELECT 3" && [ "$said" = $'1\na;b\n3' ] || return 1
    asks -At -c 'SELECT 1' -c 'SELECT 2' && [ "$said" = $'1\n2' ]
}
variables() {
    said=$(timeout 20 psql -X -At -v ON_ERROR_STOP=1 -v "user=O'Brien; DROP TABLE transactions;--" <<<"SELECT account_id FROM ledger.transactions WHERE user_id = :'user' AND amount >= 10;" 2>&1)
    [ "$said" = 'ACC-%_\' ]
}
values() {
    asks -At -P null=NULL -c "SET TimeZone = 'UTC'" -c "SELECT true, false, CAST(NULL AS boolean), CAST(-9999999999999.99 AS numeric(15,2)), CAST(0 AS numeric(15,2)), CAST(NULL AS numeric), CAST(1.5 AS real), CAST(-0.1 AS double precision), CAST('NaN' AS double precision), CAST('2026-02-28T12:34:56.789012Z' AS timestamptz), CAST('2026-02-28' AS date), CAST('2026-02-28 12:34:56' AS timestamp), 'Zürich – 東京 🏥', '', ARRAY[1, NULL, 3]" || return 1
    [ "${said#SET?}" = 't|f|NULL|-9999999999999.99|0.00|NULL|1.5|-0.1|NaN|2026-02-28 12:34:56.789012+00|2026-02-28|2026-02-28 12:34:56|Zürich – 東京 🏥||{1,NULL,3}' ]
}
copies() {
    types "\\copy (SELECT transaction_id, amount, description, counterparty_account FROM ledger.transactions WHERE transaction_id LIKE 'CLIENT-%' ORDER BY 1) to '$here/rows.csv' with (format csv, header)" && says 'COPY 3' || return 1
    python3 - "$here/rows.csv" <<'END' || { said=$(cat "$here/rows.csv"); return 1; }
import csv, sys
rows = list(csv.reader(open(sys.argv[1], encoding="utf-8", newline="")))
assert rows[0] == ["transaction_id", "amount", "description", "counterparty_account"]
assert rows[1] == ["CLIENT-1", "9999999999999.99", "Zürich – 東京 🏥 \"quoted\" \\ back, comma; it's\nline two\ttab", ""]
assert rows[2] == ["CLIENT-2", "0.01", "", "VND-1"]
text = open(sys.argv[1], encoding="utf-8").read()
# What is empty is told from what is not there.
assert 'CLIENT-2,0.01,"",VND-1\n' in text and "CLIENT-3,10.00,,\n" in text
END
    types "\\copy (SELECT * FROM ledger.transactions) to '$here/all.txt'" && says 'COPY 20003' && [ "$(wc -l <"$here/all.txt")" = 20003 ] || return 1
    asks -c "COPY (SELECT 1 AS a, 'x' AS b) TO STDOUT (FORMAT csv, HEADER, DELIMITER ';')" && [ "$said" = $'a;b\n1;x' ]
}
watches() {
    said=$(timeout -s INT 2 psql -X <<<'SELECT count(*) AS watched FROM ledger.risk_alerts \watch 0.3' 2>&1)
    [ "$(grep -c watched <<<"$said")" -ge 3 ]
}
fetches() {
    said=$(timeout 60 psql -X -At -v ON_ERROR_STOP=1 -v FETCH_COUNT=1000 -c 'SELECT transaction_id FROM ledger.transactions ORDER BY 1' 2>&1 | wc -l)
    [ "$said" = 20003 ]
}
shows() {
    types $'\\timing on\nSELECT 1 AS one;\n\\x on\nSELECT 2 AS two;' && says 'Time: ' 'one' '-[ RECORD 1 ]' || return 1
    types $'SELECT department, risk_level, count(*) FROM ledger.transactions GROUP BY 1, 2 \\crosstabview' && says Finance || return 1
    types $'SELECT \'SELECT 7 AS seven\' \\gexec' && says seven || return 1
    types $'SELECT 5 AS five \\gset\n\\echo got :five' && says 'got 5' || return 1
    asks -At -c 'SHOW server_version' && [ -n "$said" ] || return 1
    asks -c 'SHOW ALL' && says statement_timeout
}
begins() { types $'BEGIN;\nSELECT 1;\nCOMMIT;\nBEGIN READ ONLY;\nDECLARE c CURSOR FOR SELECT transaction_id FROM ledger.transactions ORDER BY 1;\nFETCH 2 FROM c;\nFETCH FORWARD 3 FROM c;\nCLOSE c;\nROLLBACK;\nDISCARD ALL;\nDEALLOCATE ALL;' && says 'CLIENT-1' 'CLIENT-2' '(2 rows)' '(3 rows)'; }
prepares() { types $'PREPARE p (bigint) AS SELECT $1 + 1 AS more;\nEXECUTE p (41);\nDEALLOCATE p;' && says 'PREPARE' 'more' '42' 'DEALLOCATE'; }
errs() {
    asks -v VERBOSITY=verbose -c 'SELECT transaction_id FROM ledger.transactons'
    says 'ERROR:  42P01' '^' || return 1
    asks -v VERBOSITY=verbose -c 'SELECT transaction_id FRM ledger.transactions'
    says 'ERROR:  42601' '^'
}

# state WANTED NAME SECONDS: waits until the server's list says so of every query with the name.
state() {
    local until now found=''
    until=$(($(date +%s%N) + $3 * 1000000000))
    while :; do
        found=$(psql -XAtqc "SELECT DISTINCT state FROM system.queries WHERE sql LIKE '%$2%' AND sql NOT LIKE '%system.queries%'" 2>&1 | tr '[:upper:]' '[:lower:]')
        [ "$found" != "$1" ] || return 0
        # PostgreSQL's list knows only who is connected.
        [ -z "${WARDHOUSE_CLIENTS_REFERENCE:-}" ] || [ "$1" != cancelled ] || [ -n "$found" ] || return 0
        now=$(date +%s%N)
        [ "$now" -lt "$until" ] || { said="system.queries says \`$found\` instead of $1 after $3 s"; return 1; }
        sleep 0.05
    done
}
interrupts() {
    local pid sent
    # A shell's background jobs do not hear an interrupt, one with job control does.
    set -m
    psql -X -c "SELECT count(*) FROM ledger.transactions a CROSS JOIN ledger.transactions b WHERE regexp_replace(a.content_hash || b.content_hash, '[a-f]+', 'x', 'g') = 'slow-psql-cancel'" >"$here/slow" 2>&1 </dev/null &
    pid=$!
    set +m
    sent=0
    if state running slow-psql-cancel 10; then
        # The protocol may still be between two of its messages when a query first shows.
        sleep 0.3
        kill -INT "$pid"
        if state cancelled slow-psql-cancel 1; then sent=1; fi
    fi
    [ "$sent" = 1 ] || { kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; return 1; }
    wait "$pid"
    said=$(cat "$here/slow")
    says 'canceling statement' || says 'cancel'
}

check 'connects and answers' connects
check '\conninfo' conninfo
if [ "${PGSSLMODE:-disable}" != disable ]; then
    check 'the connection is encrypted' encrypted
    check 'a wrong password is refused' refused
    check 'an unknown user is refused' nobody
    check 'without encryption there is no way in' plain
else
    check 'connects where encryption is preferred and there is none' preferred
fi
check "a variable of psql's as parameter" variables
check '\dt and \d list' lists
if [ -z "$basics" ]; then
    check '\d ledger.transactions describes' describes
    check '\d of what is not there' unknown_table
    check '\dn, \l, \df and others answer' others
    check '\gdesc tells columns and types' gdesc
    check '-c with several statements' several
    check 'values of all types' values
    check '\copy (SELECT …) to a file, COPY to standard output' copies
    check '\watch asks again' watches
    check 'FETCH_COUNT reads by a cursor' fetches
    check '\timing, \x, \gset, \gexec, \crosstabview, SHOW' shows
    check 'BEGIN, DECLARE, FETCH, CLOSE, ROLLBACK, DISCARD, DEALLOCATE' begins
    check 'PREPARE, EXECUTE, DEALLOCATE' prepares
    check 'errors with SQLSTATE and a mark at the place' errs
fi
check 'Ctrl-C cancels; system.queries says so within 1 s' interrupts
exit "$failed"
