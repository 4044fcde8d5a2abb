//! What asyncpg asks of types that it does not know: a type, and whatever it consists of.
//!
//! It asks by a recursive query with queries in its columns that name the outer row, which DataFusion does not plan. Here are neither domains nor composite
//! types among the columns, so that a type consists of its element at most, and one step is the whole way down.
//!
//! What must stay true: columns, names and order are those of `INTRO_LOOKUP_TYPES` in asyncpg's introspection.py.

use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// What asyncpg calls the query that goes down.
const TREE: &str = "typeinfo_tree";

const INSTEAD: &str = "
SELECT t.oid AS oid, ns.nspname AS ns, t.typname AS name, t.typtype AS kind,
       CASE WHEN t.typtype = 'd' THEN t.typbasetype END AS basetype,
       t.typelem AS elemtype, e.typdelim AS elemdelim, r.rngsubtype AS range_subtype,
       CAST(NULL AS TEXT[]) AS attrtypoids, CAST(NULL AS TEXT[]) AS attrnames, w.depth AS depth,
       format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype END, NULL) AS basetype_name,
       CASE WHEN t.typelem <> 0 THEN format_type(t.typelem, NULL) ELSE '-' END AS elemtype_name,
       format_type(r.rngsubtype, NULL) AS range_subtype_name
FROM pg_catalog.pg_type t
JOIN (SELECT a.oid AS wanted, 0 AS depth FROM pg_catalog.pg_type a WHERE array_has($1::oid[], a.oid)
      UNION
      SELECT b.typelem AS wanted, 1 AS depth FROM pg_catalog.pg_type b WHERE array_has($1::oid[], b.oid) AND b.typelem <> 0) w ON w.wanted = t.oid
JOIN pg_catalog.pg_namespace ns ON ns.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_type e ON t.typlen = -1 AND t.typelem <> 0 AND t.typelem = e.oid
LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
ORDER BY depth DESC";

/// The statement, or the one that asks the same in one step.
pub(super) fn rewrite(statement: Statement) -> Statement {
    let Statement::Query(query) = &statement else { return statement };
    let asks = query.with.as_ref().is_some_and(|with| with.recursive && with.cte_tables.iter().any(|table| table.alias.name.value == TREE));
    if !asks {
        return statement;
    }
    let instead = Parser::parse_sql(&PostgreSqlDialect {}, INSTEAD).ok().and_then(|mut statements| statements.pop());
    instead.unwrap_or(statement)
}
