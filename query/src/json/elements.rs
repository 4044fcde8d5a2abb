//! PostgreSQL's functions that make rows of an array: `jsonb_array_elements(…)` is `unnest(json_elements(…))`.
//!
//! What must stay true: pure, and made before planning. In FROM such a function sees the tables before it, as `unnest` does, and its column
//! has the name of its alias, or `value`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, TableAlias, TableAliasColumnDef, TableFactor, VisitMut,
    VisitorMut,
};

use crate::fulltext::idents;

/// The functions, and what gives their elements as one array.
const SETS: [(&str, &str); 4] = [
    ("json_array_elements", "json_elements"),
    ("jsonb_array_elements", "json_elements"),
    ("json_array_elements_text", "json_elements_text"),
    ("jsonb_array_elements_text", "json_elements_text"),
];
/// Name of the column where nothing else names it.
const VALUE: &str = "value";

/// Puts `unnest` in the place of each such function.
pub(crate) fn rewrite<T: VisitMut>(statement: &mut T) {
    let ControlFlow::Continue(()) = statement.visit(&mut Rewriter);
}

struct Rewriter;

impl VisitorMut for Rewriter {
    type Break = std::convert::Infallible;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        let (name, arguments, alias) = match factor {
            TableFactor::Table { name, args: Some(arguments), alias, with_ordinality: false, .. } => (name, &mut arguments.args, alias),
            TableFactor::Function { name, args, alias, with_ordinality: false, .. } => (name, args, alias),
            _ => return ControlFlow::Continue(()),
        };
        if let Some(elements) = elements_of(name) {
            let array = call(elements, std::mem::take(arguments));
            let alias = Some(named(alias.take()));
            *factor = TableFactor::UNNEST { alias, array_exprs: vec![array], with_offset: false, with_offset_alias: None, with_ordinality: false };
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<Self::Break> {
        if let SqlExpr::Function(Function { name, args: FunctionArguments::List(arguments), over: None, filter: None, .. }) = expr
            && let Some(elements) = elements_of(name)
        {
            let array = call(elements, std::mem::take(&mut arguments.args));
            *expr = call("unnest", vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(array))]);
        }
        ControlFlow::Continue(())
    }
}

fn elements_of(name: &ObjectName) -> Option<&'static str> {
    let parts = idents(name)?;
    let [name] = parts.as_slice() else { return None };
    SETS.iter().find(|(set, _)| set == name).map(|(_, elements)| *elements)
}

/// A call of a function.
fn call(name: &str, args: Vec<FunctionArg>) -> SqlExpr {
    SqlExpr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// The alias with the name of the one column.
fn named(alias: Option<TableAlias>) -> TableAlias {
    let mut alias = alias.unwrap_or_else(|| TableAlias { explicit: true, name: Ident::new(VALUE), columns: Vec::new(), at: None });
    if alias.columns.is_empty() {
        alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
    }
    alias
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn rewritten(sql: &str) -> String {
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
        rewrite(&mut statements);
        statements[0].to_string()
    }

    #[test]
    fn functions_that_make_rows_become_unnest() {
        assert_eq!(
            rewritten("SELECT r->>'rule' FROM explanations e, JSONB_array_elements(e.reasons) AS r"),
            "SELECT r ->> 'rule' FROM explanations e, UNNEST(json_elements(e.reasons)) AS r (r)"
        );
        assert_eq!(
            rewritten("SELECT value FROM explanations CROSS JOIN LATERAL json_array_elements_text(alerts->'a')"),
            "SELECT value FROM explanations CROSS JOIN UNNEST(json_elements_text(alerts -> 'a')) AS value (value)"
        );
        assert_eq!(rewritten("SELECT 1 FROM e JOIN jsonb_array_elements(a) AS t(x) ON true"), "SELECT 1 FROM e JOIN UNNEST(json_elements(a)) AS t (x) ON true");
        assert_eq!(rewritten("SELECT jsonb_array_elements(reasons)->>'rule' FROM e"), "SELECT unnest(json_elements(reasons)) ->> 'rule' FROM e");
        for same in ["SELECT json_elements(a) FROM e", "SELECT * FROM generate_series(1, 2) AS g", "SELECT \"JSONB_array_elements\"(a) FROM e"] {
            assert_eq!(rewritten(same), same);
        }
    }
}
