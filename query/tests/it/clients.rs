//! What clients of PostgreSQL ask, as they ask it.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use crate::fixture::{Fixture, read};

#[tokio::test(flavor = "multi_thread")]
async fn types_may_have_their_schema_before_them() {
    let fixture = Fixture::new();
    for (sql, wanted) in [
        ("SELECT '1.5'::\"pg_catalog\".\"numeric\" = 1.5", "true"),
        ("SELECT CAST('7.01' AS pg_catalog.numeric(15, 2)) = 7.01", "true"),
        ("SELECT CAST('7' AS pg_catalog.int8) + 1", "8"),
        ("SELECT 'x'::pg_catalog.bpchar || 'y'::name", "xy"),
        ("SELECT 2 = ANY('{1,2}'::pg_catalog._int4)", "true"),
    ] {
        assert_eq!(fixture.column(sql).await, [wanted], "{sql}");
    }
    // What asyncpg makes of a parameter of a query that it copies.
    let count = "SELECT count(*) FROM transactions WHERE amount > '0'::\"pg_catalog\".\"numeric\" AND user_id = ANY('{u1,u2}'::\"pg_catalog\".\"text\"[])";
    assert_eq!(fixture.column(count).await, fixture.column("SELECT count(*) FROM transactions WHERE user_id IN ('u1', 'u2')").await);
    assert_eq!(fixture.try_rows("SELECT 'x'::other.numeric").await.unwrap_err().sqlstate(), "42704");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_are_compared_as_names_and_as_numbers() {
    let fixture = Fixture::new();
    // pgjdbc asks so of each type that it does not know.
    let is_array = "SELECT typinput = 'pg_catalog.array_in'::regproc AS is_array, typtype, typname FROM pg_catalog.pg_type WHERE typname IN ('_int4', 'int4') ORDER BY typname";
    assert_eq!(fixture.rows(is_array).await, [["true", "b", "_int4"], ["false", "b", "int4"]]);
    for (sql, wanted) in [
        ("SELECT typinput FROM pg_type WHERE typname = 'bool'", "boolin"),
        ("SELECT typinput::regproc::text FROM pg_type WHERE typname = 'bool'", "boolin"),
        ("SELECT count(*) FROM pg_type WHERE typinput <> 'array_in'::regproc AND typname = '_bool'", "0"),
        ("SELECT count(*) FROM pg_type WHERE typname = 'bool' AND typanalyze = 0", "1"),
        ("SELECT count(*) FROM pg_type WHERE typname = 'bool' AND typinput IN ('boolin'::regproc, 'array_in'::regproc)", "1"),
        ("SELECT p.proname FROM pg_type t JOIN pg_proc p ON p.oid = t.typinput WHERE t.typname = 'bool'", "boolin"),
        ("SELECT count(*) FROM pg_proc WHERE proname = 'boolin' AND oid = to_regproc('pg_catalog.boolin')", "1"),
        ("SELECT count(*) FROM pg_type WHERE typname = 'bool' AND typinput::oid = 'boolin'::regproc", "1"),
    ] {
        assert_eq!(fixture.column(sql).await, [wanted], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_names_a_relation() {
    let fixture = Fixture::new();
    let sql = "SELECT relname FROM pg_class WHERE oid = $1::regclass";
    let prepared = fixture.session.prepare(sql, &[]).await.unwrap();
    assert_eq!(prepared.parameters(), [DataType::Utf8]);
    let number = fixture.column("SELECT oid FROM pg_class WHERE relname = 'risk_alerts'").await.remove(0);
    for (given, wanted) in [("transactions", "transactions"), ("\"search\".alerts", "alerts"), (number.as_str(), "risk_alerts")] {
        let result = fixture.session.execute(&prepared, vec![ScalarValue::from(given)]).await.unwrap();
        assert_eq!(read(result).await.unwrap(), [[wanted]], "{given}");
    }
    let nothing = fixture.session.execute(&prepared, vec![ScalarValue::from("no_such_table")]).await.unwrap();
    assert!(read(nothing).await.unwrap().is_empty());
}
