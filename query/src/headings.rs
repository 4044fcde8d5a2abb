//! Columns of a result that have one name: PostgreSQL gives both, and DataFusion refuses them.
//!
//! A statement that is refused for it is planned again with names told apart by a sign that no statement writes; what is shown ends before it. A column
//! without a name is shown by its expression in SQL's words, a value alone as `?column?`.
//!
//! What must stay true: only a statement that could not be planned is changed; a name that another query may use stays.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::sql::parser::{ExplainStatement, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Ident, Select, SelectItem, VisitMut, VisitorMut};

use crate::fulltext::idents;
use crate::spelling;

/// What tells names apart: a character of Unicode's private use.
const APART: char = '\u{f8fe}';

/// Whether a plan was refused because columns have one name.
pub(crate) fn is_refused(error: &DataFusionError) -> bool {
    error.to_string().contains("require unique expression names")
}

/// The statement with its columns' names told apart.
pub(crate) fn told_apart(mut statement: DfStatement) -> DfStatement {
    match &mut statement {
        DfStatement::Statement(sql) => {
            let ControlFlow::Continue(()) = VisitMut::visit(&mut **sql, &mut Naming);
        }
        DfStatement::Explain(ExplainStatement { statement, .. }) => **statement = told_apart(DfStatement::clone(statement)),
        _ => {}
    }
    statement
}

/// Columns as they are shown.
pub(crate) fn shown(schema: SchemaRef) -> SchemaRef {
    let names: Vec<String> = schema.fields().iter().map(|field| shown_name(field.name())).collect();
    if schema.fields().iter().zip(&names).all(|(field, name)| field.name() == name) {
        return schema;
    }
    let fields: Vec<Field> = schema.fields().iter().zip(names).map(|(field, name)| Field::clone(field).with_name(name)).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn shown_name(name: &str) -> String {
    match name.split_once(APART) {
        Some((name, _)) => name.to_owned(),
        None => spelling::heading(name),
    }
}

struct Naming;

impl VisitorMut for Naming {
    type Break = std::convert::Infallible;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        let mut names: Vec<String> = Vec::new();
        for (place, item) in select.projection.iter_mut().enumerate() {
            let SelectItem::UnnamedExpr(expr) = item else { continue };
            let name = name(expr);
            let is_column = matches!(expr, SqlExpr::Identifier(_) | SqlExpr::CompoundIdentifier(_));
            let is_first = !names.contains(&name);
            names.push(name.clone());
            // A column's own name may be used elsewhere.
            if is_column && is_first {
                continue;
            }
            let alias = Ident::with_quote('"', format!("{name}{APART}{place}"));
            let expr = std::mem::replace(expr, SqlExpr::Identifier(Ident::new("taken")));
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
        ControlFlow::Continue(())
    }
}

/// The name that PostgreSQL gives to a column. Source: its `FigureColname`.
fn name(expr: &SqlExpr) -> String {
    match expr {
        SqlExpr::Identifier(ident) => ident.value.clone(),
        SqlExpr::CompoundIdentifier(parts) => parts.last().map_or_else(unnamed, |ident| ident.value.clone()),
        SqlExpr::Function(function) => idents(&function.name).and_then(|mut parts| parts.pop()).unwrap_or_else(unnamed),
        SqlExpr::Nested(inner) => name(inner),
        SqlExpr::Cast { expr, data_type, .. } => {
            let inner = name(expr);
            if inner == unnamed() { data_type.to_string().to_lowercase() } else { inner }
        }
        SqlExpr::Case { .. } => "case".to_owned(),
        SqlExpr::Exists { .. } => "exists".to_owned(),
        _ => unnamed(),
    }
}

fn unnamed() -> String {
    "?column?".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    #[test]
    fn names_are_told_apart_and_shown_as_postgresql_names_them() {
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, "SELECT a, a, 1, 1, count(*), CAST(NULL AS INT), a AS b FROM t").unwrap();
        let ControlFlow::Continue(()) = VisitMut::visit(&mut statements, &mut Naming);
        let told = statements[0].to_string();
        assert!(told.starts_with("SELECT a, a AS \"a\u{f8fe}1\", 1 AS \"?column?\u{f8fe}2\""), "{told}");
        assert!(told.ends_with("a AS b FROM t"), "{told}");
        let field = |name: &str| Field::new(name, DataType::Int32, true);
        let schema = shown(Arc::new(Schema::new(vec![field("a"), field("int\u{f8fe}5")])));
        assert_eq!(schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["a", "int"]);
    }
}
