//! Which queries a snippet is given.

use super::*;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

fn bound(sql: &str) -> String {
    let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
    bind(&mut statements);
    statements[0].to_string()
}

#[test]
fn a_snippet_has_the_queries_of_its_own_select() {
    assert_eq!(
        bound("SELECT alert_id, SNIPPET(message) FROM search.alerts WHERE match(message, 'a') AND risk_score > 1"),
        "SELECT alert_id, SNIPPET(message, 200, 'a') AS snippet FROM search.alerts WHERE match(message, 'a') AND risk_score > 1"
    );
    assert_eq!(
        bound("SELECT lower(snippet(a.message, 50)) AS s FROM search.alerts a WHERE (match(message, $1) OR match(title, 'b') OR match(a.message, 'd')) AND NOT match(title, 'c')"),
        "SELECT lower(snippet(a.message, 50, $1, 'd')) AS s FROM search.alerts a WHERE (match(message, $1) OR match(title, 'b') OR match(a.message, 'd')) AND NOT match(title, 'c')"
    );
    for unbound in [
        "SELECT snippet(message) AS snippet FROM (SELECT * FROM search.alerts WHERE match(message, 'a')) AS t",
        "SELECT snippet(title) AS snippet FROM search.alerts WHERE match(message, 'a')",
        "SELECT snippet(b.message) AS snippet FROM search.alerts AS a WHERE match(a.message, 'a')",
        "SELECT snippet(message) AS snippet FROM search.alerts WHERE NOT match(message, 'a')",
        "SELECT snippet(message, 9, 'x') AS snippet FROM search.alerts WHERE match(message, 'a')",
    ] {
        assert_eq!(bound(unbound), unbound);
    }
}
