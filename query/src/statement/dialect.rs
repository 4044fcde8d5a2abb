//! PostgreSQL's dialect as statements are parsed in: the parser's own, without names of arguments that are expressions.
//!
//! `json_object('a': 1)` is all that they are for, and no function here takes one; to find one the parser reads each argument twice, and what is
//! nested in it twice as often with each level: `replace(replace(…))` of twenty levels took seconds, of forty for ever.
//!
//! What must stay true: any other statement is read as the parser's own dialect reads it.

use std::any::TypeId;

use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};

/// PostgreSQL's dialect.
#[derive(Debug)]
pub(super) struct Statements;

const OWN: PostgreSqlDialect = PostgreSqlDialect {};

macro_rules! as_the_parsers_own {
    ($($name:ident),+ $(,)?) => {
        $(fn $name(&self) -> bool {
            OWN.$name()
        })+
    };
}

impl Dialect for Statements {
    fn dialect(&self) -> TypeId {
        OWN.dialect()
    }

    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        OWN.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, character: char) -> bool {
        OWN.is_delimited_identifier_start(character)
    }

    fn is_identifier_start(&self, character: char) -> bool {
        OWN.is_identifier_start(character)
    }

    fn is_identifier_part(&self, character: char) -> bool {
        OWN.is_identifier_part(character)
    }

    fn is_custom_operator_part(&self, character: char) -> bool {
        OWN.is_custom_operator_part(character)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        OWN.is_reserved_for_identifier(keyword)
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        OWN.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        OWN.prec_value(precedence)
    }

    as_the_parsers_own!(
        supports_unicode_string_literal,
        supports_filter_during_aggregation,
        supports_group_by_expr,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_create_index_with_clause,
        supports_explain_with_utility_options,
        supports_listen_notify,
        supports_factorial_operator,
        supports_bitwise_shift_operators,
        supports_comment_on,
        supports_load_extension,
        supports_named_fn_args_with_colon_operator,
        supports_empty_projections,
        supports_nested_comments,
        supports_string_escape_constant,
        supports_numeric_literal_underscores,
        supports_array_typedef_with_brackets,
        supports_geometric_types,
        supports_set_names,
        supports_alter_column_type_using,
        supports_notnull_operator,
        supports_interval_options,
        supports_insert_table_alias,
        supports_create_table_like_parenthesized,
        supports_select_wildcard_with_alias,
        supports_comma_separated_trim,
        supports_xml_expressions,
        supports_comment_optimizer_hint,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_read_as_by_the_parsers_own() {
        for sql in [
            "SELECT DISTINCT ON (a) a, b AS \"B b\" FROM s.t AS x WHERE a ~ 'b' AND NOT c GROUP BY 1, 2 ORDER BY 1 NULLS FIRST LIMIT 1 OFFSET 2",
            "SELECT count(*) FILTER (WHERE c > 0) OVER (PARTITION BY d ORDER BY e ROWS 1 PRECEDING), string_agg(a, ',' ORDER BY b), array_agg(DISTINCT a)",
            "SELECT a->'b'->>'c', a #>> '{b,c}', a @> '{}', a::int[], a[1], -a ^ 2 % 3 || b, a COLLATE \"C\"",
            "SELECT 1_000, E'\\n', $$x$$, x'1F', U&'\\0041', ~1, @ a, 5!, a << 1",
            "SELECT extract('epoch' FROM a), INTERVAL '1' DAY, a AT TIME ZONE 'UTC', DATE '2026-01-01', substring(a FROM 1 FOR 2), trim(BOTH 'x' FROM a)",
            "WITH RECURSIVE t (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t) SELECT * FROM t WHERE n = ANY (ARRAY[1, 2]) AND EXISTS (SELECT)",
            "SELECT FROM t",
            "SELECT a BETWEEN 1 AND 2 OR NOT b IN (1) AND c LIKE 'x' ESCAPE '!', a IS DISTINCT FROM b, a NOTNULL, a ISNULL",
            "SELECT xml '<a/>', POINT '1,2'",
            "SELECT /*+ a hint */ 1 /* nested /* twice */ */",
            "EXPLAIN (ANALYZE, VERBOSE) SELECT 1",
            "SELECT * FROM t, LATERAL unnest(t.a) AS u (b)",
        ] {
            let read = |dialect: &dyn Dialect| Parser::parse_sql(dialect, sql).map_err(|error| error.to_string());
            assert_eq!(read(&Statements), read(&OWN), "{sql}");
        }
        assert!(Parser::parse_sql(&Statements, "SELECT f(x => 1), a->'b', a::int[] FROM t").is_ok());
    }

    #[test]
    fn functions_may_be_nested() {
        assert!(crate::statement::read(&format!("SELECT {}a{}", "replace(".repeat(40), ", 'x', 'y')".repeat(40))).is_ok());
    }
}
