//! What there is none of here: constraints, indexes, triggers, policies, and whatever else PostgreSQL's catalog has tables for.
//!
//! What must stay true: a query gives the same rows as before. One that reads from nothing gives nothing, so it need not be planned: clients ask for such
//! things with arrays, functions and subqueries that DataFusion does not know.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, Join, JoinOperator, ObjectName, Query, Select, SelectItem, SetExpr, SetOperator, TableFactor,
    TableWithJoins, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::PG_CATALOG;
use super::session::function_name;
use super::subqueries::no_texts;
use super::tables::is_list;

/// Tables of `pg_catalog` in which there is nothing.
pub(super) const TABLES: [&str; 34] = [
    "pg_attrdef",
    "pg_auth_members",
    "pg_constraint",
    "pg_db_role_setting",
    "pg_default_acl",
    "pg_depend",
    "pg_enum",
    "pg_event_trigger",
    "pg_extension",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_foreign_table",
    "pg_index",
    "pg_inherits",
    "pg_init_privs",
    "pg_largeobject",
    "pg_largeobject_metadata",
    "pg_partitioned_table",
    "pg_policy",
    "pg_publication",
    "pg_publication_namespace",
    "pg_publication_rel",
    "pg_rewrite",
    "pg_seclabel",
    "pg_sequence",
    "pg_shdepend",
    "pg_shdescription",
    "pg_shseclabel",
    "pg_statistic",
    "pg_statistic_ext",
    "pg_statistic_ext_data",
    "pg_subscription",
    "pg_trigger",
    "pg_user_mapping",
];

/// Functions that make one row of many, or of none.
const AGGREGATES: [&str; 15] =
    ["count", "sum", "min", "max", "avg", "array_agg", "string_agg", "bool_and", "bool_or", "every", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg", "xmlagg"];

/// Puts an empty query in the place of each that reads from nothing.
pub(super) fn rewrite<T: VisitMut>(statement: &mut T) {
    let ControlFlow::Continue(()) = statement.visit(&mut Empties);
}

struct Empties;

impl VisitorMut for Empties {
    type Break = std::convert::Infallible;

    // Queries inside come first.
    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        settle(&mut query.body);
        if is_empty(&query.body) {
            query.order_by = None;
            query.limit_clause = None;
            query.fetch = None;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        let known = match expr {
            Expr::Subquery(query) if is_empty(&query.body) => Value::Null,
            Expr::Exists { subquery, negated } if is_empty(&subquery.body) => Value::Boolean(*negated),
            Expr::InSubquery { subquery, negated, .. } if is_empty(&subquery.body) => Value::Boolean(*negated),
            Expr::Function(function) if function_name(function).as_deref() == Some("array") && of_nothing(&function.args) => {
                *expr = no_texts();
                return ControlFlow::Continue(());
            }
            _ => return ControlFlow::Continue(()),
        };
        *expr = Expr::Value(known.with_empty_span());
        ControlFlow::Continue(())
    }
}

fn settle(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => settle_select(select),
        SetExpr::SetOperation { left, right, .. } => {
            settle(left);
            settle(right);
        }
        _ => {}
    }
}

/// Whether this is what [`settle`] makes of a query that gives nothing.
fn is_empty(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => {
            let never = matches!(&select.selection, Some(Expr::Value(value)) if value.value == Value::Boolean(false));
            never && select.from.is_empty() && !select.projection.iter().any(aggregates)
        }
        SetExpr::Query(query) => is_empty(&query.body),
        SetExpr::SetOperation { op: SetOperator::Union, left, right, .. } => is_empty(left) && is_empty(right),
        SetExpr::SetOperation { op: SetOperator::Intersect, left, right, .. } => is_empty(left) || is_empty(right),
        _ => false,
    }
}

fn settle_select(select: &mut Select) {
    let nothing = select.from.iter().any(gives_nothing);
    let names: Option<Vec<String>> = select.projection.iter().map(name_of).collect();
    let (true, Some(names)) = (nothing, names) else { return };
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(groups, _) if groups.is_empty());
    if !grouped && select.projection.iter().any(aggregates) {
        return;
    }
    let mut taken = HashSet::new();
    let mut column = |name: String| {
        let mut unique = name;
        while !taken.insert(unique.clone()) {
            unique.push('_');
        }
        SelectItem::ExprWithAlias { expr: Expr::Value(Value::Null.with_empty_span()), alias: Ident::with_quote('"', unique) }
    };
    select.projection = names.into_iter().map(&mut column).collect();
    select.from = Vec::new();
    select.selection = Some(Expr::Value(Value::Boolean(false).with_empty_span()));
    select.distinct = None;
    select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    select.having = None;
    select.named_window = Vec::new();
    select.qualify = None;
}

fn gives_nothing(table: &TableWithJoins) -> bool {
    let mut nothing = factor_gives_nothing(&table.relation);
    for Join { relation, join_operator, .. } in &table.joins {
        let right = factor_gives_nothing(relation);
        nothing = match join_operator {
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) | JoinOperator::Semi(_) | JoinOperator::LeftSemi(_) => nothing || right,
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => nothing,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => right,
            _ => nothing && right,
        };
    }
    nothing
}

fn factor_gives_nothing(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Table { name, args: Some(args), .. } => is_unnest(name) && args.args.iter().any(of_unset),
        TableFactor::UNNEST { array_exprs, .. } => array_exprs.iter().any(is_unset),
        TableFactor::Table { name, args: None, .. } => is_nothing(name),
        TableFactor::Derived { subquery, .. } => is_empty(&subquery.body),
        TableFactor::NestedJoin { table_with_joins, .. } => gives_nothing(table_with_joins),
        _ => false,
    }
}

fn of_unset(argument: &FunctionArg) -> bool {
    matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) if is_unset(expr))
}

fn is_unnest(name: &ObjectName) -> bool {
    let last = name.0.last().and_then(|part| part.as_ident());
    last.is_some_and(|ident| ["unnest", "aclexplode", "pg_options_to_table"].iter().any(|known| ident.value.eq_ignore_ascii_case(known)))
}

/// Whether it is a column of the catalog that is NULL in every row.
fn is_unset(expr: &Expr) -> bool {
    let name = match expr {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(idents) => idents.last(),
        _ => None,
    };
    name.is_some_and(|ident| is_list(&ident.value.to_lowercase()))
}

fn of_nothing(arguments: &FunctionArguments) -> bool {
    matches!(arguments, FunctionArguments::Subquery(query) if is_empty(&query.body))
}

fn is_nothing(name: &ObjectName) -> bool {
    let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(|ident| ident.value.to_lowercase())).collect();
    match parts.as_deref() {
        Some([table]) => TABLES.contains(&table.as_str()),
        Some([.., schema, table]) => schema == PG_CATALOG && TABLES.contains(&table.as_str()),
        _ => false,
    }
}

/// The name of a column of a result; `None` where it stands for several.
fn name_of(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(written(alias)),
        SelectItem::UnnamedExpr(expr) => Some(named(expr).unwrap_or_else(|| "?column?".to_owned())),
        _ => None,
    }
}

fn named(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(written(ident)),
        Expr::CompoundIdentifier(idents) => idents.last().map(written),
        Expr::Function(function) => function.name.0.last().and_then(|part| part.as_ident()).map(written),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => named(expr),
        _ => None,
    }
}

/// An identifier as it is understood: what is not in quotes is in small letters.
fn written(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// Whether a column is made of many rows; what a query inside it makes of its own rows is no such thing.
pub(super) fn aggregates(item: &SelectItem) -> bool {
    item.visit(&mut Aggregates { depth: 0 }).is_break()
}

struct Aggregates {
    /// Queries around.
    depth: usize,
}

impl Visitor for Aggregates {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        let name = function.name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase());
        if function.over.is_none() && name.is_some_and(|name| AGGREGATES.contains(&name.as_str())) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
