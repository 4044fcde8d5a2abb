// The two Go drivers of PostgreSQL, pgx and lib/pq, with what Grafana's data source asks through them: series over time, after its
// macros are expanded, and what its query builder lists.
//
// What must stay true: one line a check, and each with connections of its own. Where and who stands in libpq's variables.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"
)

const (
	rows    = 20003
	text    = "Zürich – 東京 🏥 \"quoted\" \\ back, comma; it's\nline two\ttab"
	hostile = "O'Brien; DROP TABLE transactions;--"
)

var (
	basics    = slices.Contains(os.Args[1:], "basics")
	reference = os.Getenv("WARDHOUSE_CLIENTS_REFERENCE") != ""
	failed    = false
	blanks    = regexp.MustCompile(`\s+`)
)

func that(client, what string, basic bool, check func() error) {
	if basics && !basic {
		return
	}
	ended := make(chan error, 1)
	go func() {
		defer func() {
			if fault := recover(); fault != nil {
				ended <- fmt.Errorf("panic: %v", fault)
			}
		}()
		ended <- check()
	}()
	var err error
	select {
	case err = <-ended:
	case <-time.After(time.Minute):
		err = errors.New("it did not end within 60 s")
	}
	if err == nil {
		fmt.Printf("ok: %s: %s\n", client, what)
		return
	}
	failed = true
	said := blanks.ReplaceAllString(err.Error(), " ")
	fmt.Printf("FAILED: %s: %s (%.600s)\n", client, what, said)
}

func equal(found, expected any) error {
	if fmt.Sprintf("%T %v", found, found) != fmt.Sprintf("%T %v", expected, expected) {
		return fmt.Errorf("%T %v instead of %T %v", found, found, expected, expected)
	}
	return nil
}

func slow(name string) string {
	return "SELECT count(*) FROM ledger.transactions a CROSS JOIN ledger.transactions b WHERE regexp_replace(a.content_hash || b.content_hash, '[a-f]+', 'x', 'g') = '" + name + "'"
}

func awaitState(name, wanted string, limit time.Duration) error {
	connection, err := pgx.Connect(context.Background(), "")
	if err != nil {
		return err
	}
	defer connection.Close(context.Background())
	begun := time.Now()
	for {
		answer, err := connection.Query(context.Background(), "SELECT DISTINCT state FROM system.queries WHERE sql LIKE '%"+name+"%' AND sql NOT LIKE '%system.queries%'", pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(answer, pgx.RowTo[string])
		if err != nil {
			return err
		}
		// PostgreSQL's list knows only who is connected.
		gone := reference && wanted == "cancelled" && len(found) == 0
		if gone || (len(found) == 1 && strings.ToLower(found[0]) == wanted) {
			if wanted == "running" {
				// The protocol may still be between two of its messages when a query first shows.
				time.Sleep(300 * time.Millisecond)
			}
			return nil
		}
		if time.Since(begun) > limit {
			return fmt.Errorf("system.queries says %v instead of %s after %v", found, wanted, limit)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// database opens by one of the drivers; both read libpq's variables. lib/pq does not know sslmode from them by another name.
func database(driver string) *sql.DB {
	opened, err := sql.Open(driver, "")
	if err != nil {
		panic(err)
	}
	return opened
}

func sqlstate(err error) string {
	var theirs *pq.Error
	var ours *pgconn.PgError
	if errors.As(err, &theirs) {
		return string(theirs.Code)
	}
	if errors.As(err, &ours) {
		return ours.Code
	}
	return fmt.Sprintf("no SQLSTATE: %v", err)
}

// shared is what both drivers are asked through database/sql.
func shared(client, driver string) {
	that(client, "connects and runs a parameterised query", true, func() error {
		db := database(driver)
		defer db.Close()
		var id, amount, description string
		var counterparty sql.NullString
		var anomaly bool
		var at time.Time
		row := db.QueryRow(`SELECT transaction_id, amount, description, counterparty_account, is_anomaly, "timestamp" FROM ledger.transactions WHERE transaction_id = $1 AND amount > $2`, "CLIENT-1", 5)
		if err := row.Scan(&id, &amount, &description, &counterparty, &anomaly, &at); err != nil {
			return err
		}
		found := []any{id, amount, description, counterparty.Valid, anomaly, at.UTC().Format(time.RFC3339Nano)}
		return equal(found, []any{"CLIENT-1", "9999999999999.99", text, false, false, "2026-10-20T12:34:56.789012Z"})
	})

	that(client, "lists tables and columns as Grafana does", false, func() error {
		db := database(driver)
		defer db.Close()
		list := func(query string, arguments ...any) ([]string, error) {
			answer, err := db.Query(query, arguments...)
			if err != nil {
				return nil, err
			}
			defer answer.Close()
			var names []string
			for answer.Next() {
				var name string
				if err := answer.Scan(&name); err != nil {
					return nil, err
				}
				names = append(names, name)
			}
			return names, answer.Err()
		}
		tables, err := list(`SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) AS "table" FROM information_schema.tables
			WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog') ORDER BY 1`)
		if err != nil {
			return err
		}
		for _, table := range []string{"ledger.transactions", "ledger.risk_alerts", "documents.explanations"} {
			if !slices.Contains(tables, table) {
				return fmt.Errorf("%s is not in %v", table, tables)
			}
		}
		columns, err := list(`SELECT quote_ident(column_name) AS "column" FROM information_schema.columns
			WHERE quote_ident(table_schema) = 'ledger' AND quote_ident(table_name) = 'transactions' AND data_type IN ('timestamp without time zone', 'timestamp with time zone')`)
		if err != nil {
			return err
		}
		// A word of SQL's own may come in quotes.
		for place, name := range columns {
			columns[place] = strings.Trim(name, `"`)
		}
		slices.Sort(columns)
		version, err := list(`SELECT current_setting('server_version_num')::int / 100 AS version`)
		if err != nil {
			return err
		}
		if len(version) != 1 || version[0] < "1200" {
			return fmt.Errorf("version %v", version)
		}
		if _, err := list(`SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'`); err != nil {
			return err
		}
		return equal(columns, []string{"processed_at", "timestamp"})
	})

	// $__timeGroup, $__timeFilter and $__unixEpochGroup, as the data source writes them out.
	that(client, "series over time as Grafana asks for them", false, func() error {
		db := database(driver)
		defer db.Close()
		for _, query := range []string{
			`SELECT date_trunc('hour', "timestamp") AS time, department AS metric, count(*) AS value FROM ledger.transactions
				WHERE "timestamp" BETWEEN '2026-01-01T00:00:00Z' AND '2026-01-08T00:00:00Z' GROUP BY 1, 2 ORDER BY 1, 2`,
			`SELECT floor(extract(epoch from "timestamp")/3600)*3600 AS "time", sum(amount)::float8 AS amount FROM ledger.transactions
				WHERE "timestamp" >= '2026-01-01T00:00:00Z' AND "timestamp" <= '2026-01-08T00:00:00Z' GROUP BY 1 ORDER BY 1`,
			`SELECT date_bin('15 minutes', "time", TIMESTAMPTZ '1970-01-01') AS time, sum(transactions) AS transactions, sum(alerts) AS alerts FROM metrics.throughput
				WHERE "time" BETWEEN '2026-01-01T00:00:00Z' AND '2026-01-02T00:00:00Z' GROUP BY 1 ORDER BY 1`,
			`SELECT "timestamp" AS time, risk_score, user_id FROM ledger.transactions WHERE "timestamp" BETWEEN '2026-01-01T00:00:00Z' AND '2026-01-08T00:00:00Z' ORDER BY 1 LIMIT 100`,
		} {
			answer, err := db.Query(query)
			if err != nil {
				return fmt.Errorf("%w in %s", err, query)
			}
			names, _ := answer.Columns()
			types, _ := answer.ColumnTypes()
			if names[0] != "time" || types[0].DatabaseTypeName() == "" {
				return fmt.Errorf("columns %v of %s", names, query)
			}
			values := make([]any, len(names))
			places := make([]any, len(names))
			for place := range values {
				places[place] = &values[place]
			}
			count := 0
			for answer.Next() {
				if err := answer.Scan(places...); err != nil {
					return err
				}
				count++
			}
			if err := answer.Err(); err != nil {
				return err
			}
			answer.Close()
			if count < 20 {
				return fmt.Errorf("%d rows of %s", count, query)
			}
		}
		return nil
	})

	that(client, "parameters: instants, booleans, a list, a name that would do harm", false, func() error {
		db := database(driver)
		defer db.Close()
		count := func(condition string, value any) (n int64, err error) {
			err = db.QueryRow("SELECT count(*) FROM ledger.transactions WHERE transaction_id LIKE 'CLIENT-%' AND "+condition, value).Scan(&n)
			return n, err
		}
		for _, one := range []struct {
			condition string
			value     any
			expected  int64
		}{
			{`"timestamp" >= $1`, time.Date(2026, 10, 20, 12, 34, 57, 0, time.UTC), 2},
			{"amount = $1", "9999999999999.99", 1},
			{"is_anomaly = $1", false, 3},
			{"seq >= $1", int64(0), 3},
			{"description = $1", text, 1},
			{"user_id = $1", hostile, 1},
			{"counterparty_account = $1", nil, 0},
			{"transaction_id = ANY($1)", pq.Array([]string{"CLIENT-1", "CLIENT-3"}), 2},
		} {
			found, err := count(one.condition, one.value)
			if err == nil {
				err = equal(found, one.expected)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", one.condition, err)
			}
		}
		return nil
	})

	that(client, "all rows of a table; errors have SQLSTATE", false, func() error {
		db := database(driver)
		defer db.Close()
		answer, err := db.Query("SELECT transaction_id FROM ledger.transactions WHERE amount > $1", 0)
		if err != nil {
			return err
		}
		count := 0
		for answer.Next() {
			count++
		}
		answer.Close()
		if err := equal(count, rows); err != nil {
			return err
		}
		_, err = db.Query("SELECT no_such_column FROM ledger.transactions")
		if err := equal(sqlstate(err), "42703"); err != nil {
			return err
		}
		_, err = db.Query("SELEC 1")
		return equal(sqlstate(err), "42601")
	})

	that(client, "a context that ends cancels its query; system.queries says so within 1 s", true, func() error {
		db := database(driver)
		defer db.Close()
		name := "slow-go-" + driver
		limited, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			var n int64
			ended <- db.QueryRowContext(limited, slow(name)).Scan(&n)
		}()
		if err := awaitState(name, "running", 10*time.Second); err != nil {
			cancel()
			return err
		}
		cancel()
		if err := awaitState(name, "cancelled", time.Second); err != nil {
			return err
		}
		if err := <-ended; err == nil {
			return errors.New("it ended by itself")
		}
		return db.Ping()
	})
}

func main() {
	shared("Go lib/pq", "postgres")
	shared("Go pgx", "pgx")

	that("Go pgx", "its own interface: every type as binary, a batch, COPY out", false, func() error {
		ctx := context.Background()
		connection, err := pgx.Connect(ctx, "")
		if err != nil {
			return err
		}
		defer connection.Close(ctx)
		var small int16
		var large int64
		var real float32
		var money, text string
		var truth bool
		var at time.Time
		var words []*string
		var none *string
		err = connection.QueryRow(ctx, `SELECT CAST(-32768 AS smallint), CAST(9223372036854775807 AS bigint), CAST(1.5 AS real), CAST(-9999999999999.99 AS numeric(15,2))::text, true, 'ü',
			CAST('2026-02-28T12:34:56.789012Z' AS timestamptz), ARRAY['a', NULL], CAST(NULL AS text)`).Scan(&small, &large, &real, &money, &truth, &text, &at, &words, &none)
		if err != nil {
			return err
		}
		if err := equal([]any{small, large, real, money, truth, text, at.UTC().Format(time.RFC3339Nano), *words[0], words[1] == nil, none == nil},
			[]any{int16(-32768), int64(9223372036854775807), float32(1.5), "-9999999999999.99", true, "ü", "2026-02-28T12:34:56.789012Z", "a", true, true}); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		for place := range 5 {
			batch.Queue("SELECT $1::bigint + 1", int64(place))
		}
		answers := connection.SendBatch(ctx, batch)
		for place := range 5 {
			var n int64
			if err := answers.QueryRow().Scan(&n); err != nil {
				return err
			}
			if err := equal(n, int64(place+1)); err != nil {
				return err
			}
		}
		if err := answers.Close(); err != nil {
			return err
		}
		var out strings.Builder
		tag, err := connection.PgConn().CopyTo(ctx, &out, "COPY (SELECT transaction_id FROM ledger.transactions) TO STDOUT")
		if err != nil {
			return err
		}
		return equal([]any{tag.RowsAffected(), strings.Count(out.String(), "\n")}, []any{int64(rows), rows})
	})

	if failed {
		os.Exit(1)
	}
}
