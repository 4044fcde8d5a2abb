//! What PostgreSQL reads otherwise than the parser or the planner does, put into words that they read alike.
//!
//! What must stay true: pure, and made before planning; a statement means what PostgreSQL says that it means; a form that none of these rules
//! knows is left as it is.

mod instants;
mod patterns;
mod series;
mod similar;
mod types;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, BinaryOperator, CastKind, DataType as SqlType, Expr as SqlExpr, LimitClause, Query, Select, UnaryOperator, Value, ValueWithSpan, VisitMut, VisitorMut,
};

use crate::json::array_texts;

pub(super) use instants::unknown_pattern;
pub(super) use similar::untranslated;

/// Most elements of an array that become comparisons in a chain.
const MOST_COMPARED: usize = 100;
/// Digits that an exact number has at most: what is beyond is a float.
const DIGITS: i32 = 37;

/// Puts these forms in the place of PostgreSQL's.
pub(super) fn rewrite<T: VisitMut>(statement: &mut T) {
    let ControlFlow::Continue(()) = statement.visit(&mut Rewriter);
}

struct Rewriter;

impl VisitorMut for Rewriter {
    type Break = std::convert::Infallible;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        series::as_rows(&mut select.projection);
        ControlFlow::Continue(())
    }

    // `FETCH FIRST 3 ROWS ONLY` is `LIMIT 3`.
    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        let is_plain = query.fetch.as_ref().is_some_and(|fetch| !fetch.with_ties && !fetch.percent);
        let first = match &query.limit_clause {
            None => Some(None),
            Some(LimitClause::LimitOffset { limit: None, offset, limit_by }) if limit_by.is_empty() => Some(offset.clone()),
            Some(_) => None,
        };
        if is_plain && let Some(offset) = first {
            let one = || literal(Value::Number("1".to_owned(), false));
            let limit = query.fetch.take().map(|fetch| fetch.quantity.unwrap_or_else(one));
            query.limit_clause = Some(LimitClause::LimitOffset { limit, offset, limit_by: Vec::new() });
        }
        ControlFlow::Continue(())
    }

    // What is inside has been rewritten.
    fn post_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<Self::Break> {
        match expr {
            SqlExpr::Like { pattern, escape_char, .. } | SqlExpr::ILike { pattern, escape_char, .. } => patterns::with_backslashes(pattern, escape_char),
            SqlExpr::SimilarTo { .. } => similar::as_regular_expression(expr),
            SqlExpr::Function(function) => instants::with_signs(function),
            SqlExpr::Cast { data_type, .. } => types::unqualified(data_type),
            SqlExpr::IsDistinctFrom(..) | SqlExpr::IsNotDistinctFrom(..) => replace(expr, bound_tighter),
            SqlExpr::BinaryOp { op: BinaryOperator::And, .. } | SqlExpr::UnaryOp { op: UnaryOperator::Not, .. } => replace(expr, outwards),
            SqlExpr::AnyOp { left, compare_op, right, .. } => {
                if let Some(compared) = compared(left, compare_op, right, true) {
                    *expr = compared;
                }
            }
            SqlExpr::AllOp { left, compare_op, right } => {
                if let Some(compared) = compared(left, compare_op, right, false) {
                    *expr = compared;
                }
            }
            SqlExpr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) if is_beyond(digits.as_str()) => {
                let text = Value::SingleQuotedString(digits.clone()).with_empty_span();
                *expr = SqlExpr::Cast { kind: CastKind::Cast, expr: Box::new(SqlExpr::Value(text)), data_type: SqlType::DoublePrecision, array: false, format: None };
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn replace(expr: &mut SqlExpr, by: fn(SqlExpr) -> SqlExpr) {
    let taken = std::mem::replace(expr, nothing());
    *expr = by(taken);
}

fn nothing() -> SqlExpr {
    SqlExpr::Value(Value::Null.with_empty_span())
}

fn literal(value: Value) -> SqlExpr {
    SqlExpr::Value(value.with_empty_span())
}

/// `a IS DISTINCT FROM b OR c`: the parser takes all of `b OR c` for the right side, of which only `b` is it.
fn bound_tighter(expr: SqlExpr) -> SqlExpr {
    fn into_first(right: SqlExpr, make: &mut dyn FnMut(SqlExpr) -> SqlExpr) -> SqlExpr {
        match right {
            SqlExpr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => SqlExpr::BinaryOp { left: Box::new(into_first(*left, make)), op, right },
            first => make(first),
        }
    }
    match expr {
        SqlExpr::IsDistinctFrom(left, right) => {
            let mut left = Some(left);
            into_first(*right, &mut |first| SqlExpr::IsDistinctFrom(left.take().unwrap_or_else(|| Box::new(nothing())), Box::new(first)))
        }
        SqlExpr::IsNotDistinctFrom(left, right) => {
            let mut left = Some(left);
            into_first(*right, &mut |first| SqlExpr::IsNotDistinctFrom(left.take().unwrap_or_else(|| Box::new(nothing())), Box::new(first)))
        }
        other => other,
    }
}

/// `x AND (p OR c)` without brackets, and `NOT (p AND c)` without them, are what the rule above leaves behind: the parser itself never gives them.
fn outwards(expr: SqlExpr) -> SqlExpr {
    match expr {
        SqlExpr::BinaryOp { left, op: BinaryOperator::And, right } => match *right {
            SqlExpr::BinaryOp { left: first, op: BinaryOperator::Or, right: rest } => {
                let first = outwards(SqlExpr::BinaryOp { left, op: BinaryOperator::And, right: first });
                SqlExpr::BinaryOp { left: Box::new(first), op: BinaryOperator::Or, right: rest }
            }
            right => SqlExpr::BinaryOp { left, op: BinaryOperator::And, right: Box::new(right) },
        },
        SqlExpr::UnaryOp { op: UnaryOperator::Not, expr } => match *expr {
            SqlExpr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
                let first = outwards(SqlExpr::UnaryOp { op: UnaryOperator::Not, expr: left });
                SqlExpr::BinaryOp { left: Box::new(first), op, right }
            }
            inner => SqlExpr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(inner) },
        },
        other => other,
    }
}

/// `x = ANY(ARRAY['a', 'b'])` is `x IN ('a', 'b')`, as is `x = ANY('{a,b}')`; `x <> ALL('{a,b}')` is `x NOT IN ('a', 'b')`, and other comparisons are those with each element.
fn compared(left: &SqlExpr, op: &BinaryOperator, right: &SqlExpr, is_any: bool) -> Option<SqlExpr> {
    let list = elements(right)?;
    if list.is_empty() {
        return Some(literal(Value::Boolean(!is_any)));
    }
    let negated = match (op, is_any) {
        (BinaryOperator::Eq, true) => Some(false),
        (BinaryOperator::NotEq, false) => Some(true),
        _ => None,
    };
    if let Some(negated) = negated {
        return Some(SqlExpr::InList { expr: Box::new(left.clone()), list, negated });
    }
    if list.len() > MOST_COMPARED {
        return None;
    }
    let between = if is_any { BinaryOperator::Or } else { BinaryOperator::And };
    let each = list.into_iter().map(|element| SqlExpr::BinaryOp { left: Box::new(left.clone()), op: op.clone(), right: Box::new(element) });
    let chain = each.reduce(|before, next| SqlExpr::BinaryOp { left: Box::new(before), op: between.clone(), right: Box::new(next) })?;
    Some(SqlExpr::Nested(Box::new(chain)))
}

/// The elements of an array that is written as one or as a text: `ARRAY['a', 'b']`, `'{a,b}'` or `'{1,2}'::int[]`. The engine's own comparison with an
/// array takes NULL in it for a value.
fn elements(array: &SqlExpr) -> Option<Vec<SqlExpr>> {
    match array {
        SqlExpr::Nested(inner) => elements(inner),
        SqlExpr::Array(Array { elem, .. }) if !elem.iter().any(|element| matches!(element, SqlExpr::Array(_))) => Some(elem.clone()),
        SqlExpr::Value(ValueWithSpan { value: Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text), .. }) => {
            let element = |text: Option<String>| literal(text.map_or(Value::Null, Value::SingleQuotedString));
            Some(array_texts(text)?.into_iter().map(element).collect())
        }
        SqlExpr::Cast { kind: kind @ (CastKind::Cast | CastKind::DoubleColon), expr, data_type: SqlType::Array(ArrayElemTypeDef::SquareBracket(data_type, _)), .. } => {
            let cast = |element| SqlExpr::Cast { kind: kind.clone(), expr: Box::new(element), data_type: SqlType::clone(data_type), array: false, format: None };
            Some(elements(expr)?.into_iter().map(cast).collect())
        }
        _ => None,
    }
}

/// Whether a number is larger, or smaller, than an exact one can be.
fn is_beyond(digits: &str) -> bool {
    digits.split_once(['e', 'E']).and_then(|(_, exponent)| exponent.parse::<i32>().ok()).is_some_and(|exponent| exponent.abs() > DIGITS)
}

#[cfg(test)]
mod tests {
    use super::patterns::escaped;
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn rewritten(condition: &str) -> String {
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, &format!("SELECT * FROM t WHERE {condition}")).unwrap();
        rewrite(&mut statements);
        statements[0].to_string().trim_start_matches("SELECT * FROM t WHERE ").to_owned()
    }

    /// A tree in which each operator is bracketed.
    fn tree(expr: &SqlExpr) -> String {
        match expr {
            SqlExpr::BinaryOp { left, op, right } => format!("({} {op} {})", tree(left), tree(right)),
            SqlExpr::UnaryOp { op, expr } => format!("({op} {})", tree(expr)),
            SqlExpr::IsNotDistinctFrom(left, right) => format!("({} INDF {})", tree(left), tree(right)),
            other => other.to_string(),
        }
    }

    fn bracketed(condition: &str) -> String {
        let mut expr = Parser::new(&PostgreSqlDialect {}).try_with_sql(condition).unwrap().parse_expr().unwrap();
        let ControlFlow::Continue(()) = VisitMut::visit(&mut expr, &mut Rewriter);
        tree(&expr)
    }

    #[test]
    fn distinct_binds_tighter_than_and_or_and_not() {
        for (condition, wanted) in [
            ("a IS NOT DISTINCT FROM NULL AND b", "((a INDF NULL) AND b)"),
            ("a IS NOT DISTINCT FROM b OR c AND d", "((a INDF b) OR (c AND d))"),
            ("x AND a IS NOT DISTINCT FROM b OR c", "((x AND (a INDF b)) OR c)"),
            ("x AND a IS NOT DISTINCT FROM b AND c OR d", "((x AND ((a INDF b) AND c)) OR d)"),
            ("NOT a IS NOT DISTINCT FROM b OR c", "((NOT (a INDF b)) OR c)"),
            ("a IS NOT DISTINCT FROM b AND c IS NOT DISTINCT FROM d OR e", "(((a INDF b) AND (c INDF d)) OR e)"),
            ("x AND (a IS NOT DISTINCT FROM b OR c)", "(x AND (a IS NOT DISTINCT FROM b OR c))"),
        ] {
            assert_eq!(bracketed(condition), wanted, "{condition}");
        }
    }

    #[test]
    fn an_array_that_is_written_as_a_text_is_a_list() {
        assert_eq!(rewritten("a = ANY('{x,\"y z\",NULL}')"), "a IN ('x', 'y z', NULL)");
        assert_eq!(rewritten("a <> ALL('{x}')"), "a NOT IN ('x')");
        assert_eq!(rewritten("a = ANY('{}')"), "false");
        assert_eq!(rewritten("a <> ALL('{}')"), "true");
        assert_eq!(rewritten("a > ANY('{1,2}')"), "(a > '1' OR a > '2')");
        assert_eq!(rewritten("a = ANY('{1}'::INT[])"), "a IN ('1'::INT)");
        assert_eq!(rewritten("a = ANY(b)"), "a = ANY(b)");
        assert_eq!(rewritten("a = ANY('no array')"), "a = ANY('no array')");
    }

    #[test]
    fn similar_to_and_fetch_are_put_into_other_words() {
        assert_eq!(rewritten("a SIMILAR TO 'b%' AND c"), "((a) ~ '\\A(?s:b.*)\\z') AND c");
        assert_eq!(rewritten("a NOT SIMILAR TO 'b!%' ESCAPE '!'"), "((a) !~ '\\A(?s:b%)\\z')");
        assert_eq!(rewritten("a SIMILAR TO NULL"), "CAST(NULL AS BOOLEAN)");
        assert_eq!(rewritten("a FETCH FIRST 3 ROWS ONLY"), "a LIMIT 3");
        assert_eq!(rewritten("a FETCH NEXT ROW ONLY"), "a LIMIT 1");
    }

    #[test]
    fn any_sign_escapes() {
        assert_eq!(rewritten("a LIKE 'a/_b' ESCAPE '/'"), "a LIKE 'a\\_b'");
        assert_eq!(rewritten("a LIKE 'a/_'::TEXT || '%' ESCAPE '/'"), "a LIKE 'a\\_%'");
        assert!(rewritten("a LIKE $1 ESCAPE '/'").starts_with("a LIKE replace(") && !rewritten("a LIKE b ESCAPE '/'").contains("ESCAPE"));
        assert_eq!(escaped("50!%!!\\", "!").as_deref(), Some("50\\%!\\\\"));
        assert_eq!(escaped("a\\_b", "").as_deref(), Some("a\\\\_b"));
        assert_eq!(escaped("a\\_b", "\\").as_deref(), Some("a\\_b"));
        assert_eq!(escaped("a!", "!"), None);
        assert_eq!(escaped("a", "ab"), None);
    }

    #[test]
    fn a_number_that_no_decimal_holds_is_a_float() {
        assert_eq!(rewritten("a < 1e300"), "a < CAST('1e300' AS DOUBLE PRECISION)");
        assert_eq!(rewritten("a < 1e3"), "a < 1e3");
    }
}
