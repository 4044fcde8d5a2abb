//! `tableoid`, the number of the table that a row is of, which each of PostgreSQL's tables has beside its columns.
//!
//! What must stay true: it is the number that `pg_class` has of the table; of what is no table of the catalog it stays as it is written.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Select, TableFactor, TableWithJoins, Value, VisitMut, VisitorMut};

use super::oids::Oids;

/// Puts the numbers in their places.
pub(super) fn rewrite<T: VisitMut>(statement: &mut T, oids: &Oids) {
    let ControlFlow::Continue(()) = statement.visit(&mut Selects { oids });
}

struct Selects<'a> {
    oids: &'a Oids,
}

impl VisitorMut for Selects<'_> {
    type Break = std::convert::Infallible;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        let mut tables = HashMap::new();
        for table in &select.from {
            self.collect(table, &mut tables);
        }
        if tables.is_empty() {
            return ControlFlow::Continue(());
        }
        select.visit(&mut Numbers { tables })
    }
}

impl Selects<'_> {
    fn collect(&self, table: &TableWithJoins, tables: &mut HashMap<String, i32>) {
        for factor in std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)) {
            match factor {
                TableFactor::Table { name, alias, args: None, .. } => {
                    let Some(last) = name.0.last().and_then(|part| part.as_ident()) else { continue };
                    let known = alias.as_ref().map_or(last, |alias| &alias.name);
                    if let Some(oid) = self.oids.system(&last.value.to_lowercase()) {
                        tables.insert(known.value.to_lowercase(), oid);
                    }
                }
                TableFactor::NestedJoin { table_with_joins, .. } => self.collect(table_with_joins, tables),
                _ => {}
            }
        }
    }
}

struct Numbers {
    /// By the names that a query has for them.
    tables: HashMap<String, i32>,
}

impl VisitorMut for Numbers {
    type Break = std::convert::Infallible;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Expr::CompoundIdentifier(idents) = expr
            && let [.., table, column] = idents.as_slice()
            && column.value.eq_ignore_ascii_case("tableoid")
            && let Some(oid) = self.tables.get(&table.value.to_lowercase())
        {
            *expr = Expr::Value(Value::Number(oid.to_string(), false).with_empty_span());
        }
        ControlFlow::Continue(())
    }
}
