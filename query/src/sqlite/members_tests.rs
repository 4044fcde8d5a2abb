//! The conditions, as text, and the rows that SQLite lets through.

use rusqlite::{Connection, params_from_iter};

use super::super::dialect::{select, support};
use super::super::tables::{documents, ledger};
use super::*;
use crate::predicate::Predicate;
use crate::table::{Request, Support};

fn member(table: &Table, column: &str, path: &[Step], test: MemberTest) -> Predicate {
    Predicate::Member { column: table.shape.index_of(column).unwrap(), path: path.to_vec(), test }
}

fn key(key: &str) -> Step {
    Step::Key(key.to_owned())
}

fn is(texts: &[&str]) -> MemberTest {
    MemberTest::TextIn(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn asked(table: &Table, predicate: Predicate) -> Sql {
    assert_eq!(support(table, &predicate), Support::Inexact, "{predicate:?}");
    let request = Request { projection: vec![table.shape.index_of("seq").unwrap()], predicates: vec![predicate], order: Vec::new(), limit: None, parts: 1 };
    select(table, &request, &[], None).unwrap()
}

#[test]
fn members_are_asked_about_by_their_bound_path() {
    let transactions = ledger().swap_remove(0);
    assert_eq!(
        asked(&transactions, member(&transactions, "metadata", &[key("o'x"), Step::Element(-2), key("b.c")], is(&["x", "7"]))).shown(),
        "SELECT seq FROM transactions WHERE CASE WHEN json_valid(metadata, 5) THEN metadata ->> ?1 IN (?2, ?3) OR metadata -> ?1 IN (?4) ELSE 1 END \
         [?1='$.\"o''x\"[#-2].\"b.c\"', ?2='x', ?3='7', ?4='7']"
    );
    let [metadata, explanations]: [Table; 2] = documents().try_into().unwrap();
    assert_eq!(
        asked(&metadata, member(&metadata, "metadata", &[key("")], MemberTest::Present)).shown(),
        "SELECT seq FROM documents WHERE CASE WHEN json_valid(metadata, 5) THEN metadata ->> ?1 IS NOT NULL ELSE 1 END [?1='$.\"\"']"
    );
    assert_eq!(
        asked(&explanations, member(&explanations, "reasons", &[Step::Element(0), key("rule")], is(&["{}"]))).shown(),
        "SELECT seq FROM documents WHERE CASE WHEN json_valid(explanation, 5) THEN explanation ->> ?1 IN (?2) OR json_type(explanation, ?1) IN ('object', 'array') ELSE 1 END \
         [?1='$.reasons[0].\"rule\"', ?2='{}']"
    );
}

#[test]
fn what_sqlite_would_read_otherwise_is_not_asked() {
    let table = ledger().swap_remove(0);
    let no = |predicate: Predicate| assert_eq!(support(&table, &predicate), Support::No, "{predicate:?}");
    for hostile in ["a\"b", "a\\b", "a\nb", "\0"] {
        no(member(&table, "metadata", &[key(hostile)], MemberTest::Present));
    }
    no(member(&table, "metadata", &[key("a")], is(&["a\0"])));
    no(member(&table, "metadata", &[Step::Element(i64::MIN)], MemberTest::Present));
    no(member(&table, "description", &[key("a")], MemberTest::Present));
    no(member(&table, "metadata", &[key("a")], MemberTest::Present).negated());
    for plain in ["$where", "a.b", "[0]", "", "é", "'; DROP TABLE transactions; --"] {
        assert_eq!(support(&table, &member(&table, "metadata", &[key(plain)], MemberTest::Present)), Support::Inexact, "{plain}");
    }
}

/// What `->>` gives of a document's member `a`, and what else must not be lost.
const DOCUMENTS: [&str; 20] = [
    r#"{"a":"x"}"#,
    r#"{"a":"\u0078"}"#,
    r#"{"\u0061":"x"}"#,
    r#"{"a":"7"}"#,
    r#"{"a":7}"#,
    r#"{"a":7.0}"#,
    r#"{"a":7e0}"#,
    r#"{"a":-0}"#,
    r#"{"a":true}"#,
    r#"{"a":"true"}"#,
    r#"{"a":1}"#,
    r#"{"a":null}"#,
    r#"{"a":[1, 2]}"#,
    r#"{"a":{"b":1}}"#,
    r#"{"a":12345678901234567890123}"#,
    r#"{"a":"ünïcode \ud83d\ude00"}"#,
    r#"{"b":"x"}"#,
    r#"["x"]"#,
    "no json",
    r#"{"a":"x","b":{"a":"y"}}"#,
];

#[test]
fn no_row_is_lost_that_has_the_text() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE t (seq INTEGER PRIMARY KEY, metadata TEXT)").unwrap();
    for (seq, document) in (0_i64..).zip(DOCUMENTS) {
        connection.execute("INSERT INTO t VALUES (?1, ?2)", (seq, document)).unwrap();
    }
    let mut table = ledger().swap_remove(0);
    table.from = "t".into();
    let found = |test: MemberTest| -> Vec<i64> {
        let sql = asked(&table, member(&table, "metadata", &[key("a")], test));
        let values = sql.values.iter().map(|value| if let Value::Text(text) = value { text.clone() } else { panic!("{value:?}") });
        let mut statement = connection.prepare(&format!("{} ORDER BY seq", sql.text)).unwrap();
        statement.query_map(params_from_iter(values), |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    // 18 is no JSON, and is always let through.
    assert_eq!(found(is(&["x"])), [0, 1, 2, 18, 19]);
    assert_eq!(found(is(&["7"])), [3, 4, 18]);
    assert_eq!(found(is(&["7.0", "-0", "7e0"])), [5, 6, 7, 18]);
    assert_eq!(found(is(&["true"])), [8, 9, 18]);
    assert_eq!(found(is(&["1"])), [10, 18]);
    assert_eq!(found(is(&["[1, 2]"])), [12, 13, 18]);
    assert_eq!(found(is(&["12345678901234567890123"])), [14, 18]);
    assert_eq!(found(is(&["ünïcode \u{1f600}"])), [15, 18]);
    assert_eq!(found(MemberTest::Present), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 18, 19]);
}
