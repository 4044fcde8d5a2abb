//! Queries where a value is expected, in forms that DataFusion plans.
//!
//! PostgreSQL lets a query stand wherever a value may, and gather its rows by `ARRAY(…)`. DataFusion plans one that names the outer row only where it is
//! aggregated and joined to that row by equalities.
//!
//! What must stay true: a query that gives one value at most gives the same one, as the least of them; one that names the outer row in another way gives
//! NULL, since the catalog is asked so only for what it has none of (collations of columns that are not their type's); an array holds the same values.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments,
    GroupByExpr, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::empty::aggregates;
use super::session::{call, function_name};

/// Puts them in these forms.
pub(super) fn rewrite<T: VisitMut>(statement: &mut T) {
    let ControlFlow::Continue(()) = statement.visit(&mut Subqueries);
}

struct Subqueries;

impl VisitorMut for Subqueries {
    type Break = std::convert::Infallible;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        for item in &mut select.projection {
            item.visit(&mut Counted { depth: 0 })?;
        }
        ControlFlow::Continue(())
    }

    // Queries inside come first.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        let instead = match expr {
            Expr::Subquery(query) => (!single(query)).then(|| Expr::Value(Value::Null.with_empty_span())),
            Expr::Function(function) if function_name(function).as_deref() == Some("array") => match &function.args {
                FunctionArguments::Subquery(query) => gathered(query),
                _ => None,
            },
            // A list that is a parameter is one of texts; so is what is looked for in it.
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } if is_placeholder(right) => {
                Some(call("array_has", vec![cast(right.as_ref().clone(), texts()), cast(left.as_ref().clone(), DataType::Text)]))
            }
            _ => None,
        };
        if let Some(instead) = instead {
            *expr = instead;
        }
        ControlFlow::Continue(())
    }
}

/// Makes `EXISTS (…)` a count: DataFusion plans it in conditions alone.
struct Counted {
    /// Queries around.
    depth: usize,
}

impl VisitorMut for Counted {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Self::Break> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Self::Break> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Expr::Exists { subquery, negated } = expr
            && self.depth == 0
            && subquery.limit_clause.is_none()
            && let SetExpr::Select(select) = subquery.body.as_mut()
            && !is_grouped(select)
            && !select.projection.iter().any(aggregates)
        {
            let count = function("count", vec![FunctionArg::Unnamed(FunctionArgExpr::Wildcard)], Vec::new());
            let zero = Expr::Value(Value::Number("0".to_owned(), false).with_empty_span());
            let op = if *negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
            select.projection = vec![SelectItem::UnnamedExpr(Expr::BinaryOp { left: Box::new(count), op, right: Box::new(zero) })];
            select.distinct = None;
            subquery.order_by = None;
            *expr = Expr::Subquery(subquery.clone());
        }
        ControlFlow::Continue(())
    }
}

/// Aggregates a query that gives one value and names the outer row; false where that cannot be.
fn single(query: &mut Query) -> bool {
    let own = Names::of(query);
    if !own.lead_out(&*query) {
        return true;
    }
    let plain = query.limit_clause.is_none() && query.fetch.is_none();
    let SetExpr::Select(select) = query.body.as_mut() else { return false };
    if is_grouped(select) || select.projection.iter().any(aggregates) {
        return true;
    }
    let joined = select.selection.as_ref().is_none_or(|condition| own.join(condition));
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] = select.projection.as_mut_slice() else { return false };
    if !plain || !joined || own.lead_out(&*value) {
        return false;
    }
    *value = call("min", vec![value.clone()]);
    query.order_by = None;
    true
}

/// `ARRAY(query)` as an aggregate; `None` where that cannot be.
fn gathered(query: &Query) -> Option<Expr> {
    let mut query = Box::new(query.clone());
    let own = Names::of(&*query);
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    if is_grouped(select) || select.distinct.is_some() || query.limit_clause.is_some() || query.fetch.is_some() || select.projection.iter().any(aggregates) {
        return None;
    }
    if !select.selection.as_ref().is_none_or(|condition| own.join(condition)) {
        return None;
    }
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] = select.projection.as_mut_slice() else { return None };
    let order: Vec<OrderByExpr> = match query.order_by.take().map(|order| order.kind) {
        Some(OrderByKind::Expressions(order)) => order.into_iter().map(|key| if is_number(&key.expr) { OrderByExpr { expr: value.clone(), ..key } } else { key }).collect(),
        _ => Vec::new(),
    };
    let clauses = if order.is_empty() { Vec::new() } else { vec![FunctionArgumentClause::OrderBy(order)] };
    *value = function("array_agg", vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(value.clone()))], clauses);
    // Of no rows it is empty, not NULL.
    Some(call("coalesce", vec![Expr::Subquery(query), no_texts()]))
}

/// An array of texts in which there is nothing.
pub(super) fn no_texts() -> Expr {
    cast(Expr::Array(Array { elem: Vec::new(), named: true }), texts())
}

fn texts() -> DataType {
    DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(DataType::Text), None))
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

fn function(name: &str, args: Vec<FunctionArg>, clauses: Vec<FunctionArgumentClause>) -> Expr {
    let mut expr = call(name, Vec::new());
    if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = &mut expr {
        *list = FunctionArgumentList { duplicate_treatment: None, args, clauses };
    }
    expr
}

fn is_grouped(select: &Select) -> bool {
    !matches!(&select.group_by, GroupByExpr::Expressions(groups, _) if groups.is_empty()) || select.having.is_some()
}

fn is_placeholder(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(value.value, Value::Placeholder(_)),
        Expr::Nested(inner) => is_placeholder(inner),
        _ => false,
    }
}

fn is_number(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Number(_, _)))
}

/// The names by which a query, and those inside it, call what they read.
#[derive(Default)]
struct Names(HashSet<String>);

impl Visitor for Names {
    type Break = std::convert::Infallible;

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        let (alias, name) = match factor {
            TableFactor::Table { name, alias, .. } => (alias.as_ref(), name.0.last().and_then(|part| part.as_ident())),
            TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } | TableFactor::Function { alias, .. } => (alias.as_ref(), None),
            _ => (None, None),
        };
        self.0.extend(alias.map(|alias| &alias.name).or(name).map(|ident| ident.value.to_lowercase()));
        ControlFlow::Continue(())
    }
}

impl Names {
    fn of(query: &Query) -> Names {
        let mut names = Names::default();
        let ControlFlow::Continue(()) = Visit::visit(query, &mut names);
        names
    }

    /// Whether something names what is none of these. A column without its table is taken for one of these.
    fn lead_out<T: Visit>(&self, of: &T) -> bool {
        of.visit(&mut Outside(self)).is_break()
    }

    /// Whether a condition joins to the outer row by equalities alone.
    fn join(&self, condition: &Expr) -> bool {
        match condition {
            Expr::Nested(inner) => self.join(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => self.join(left) && self.join(right),
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } if self.is_column(left) && self.lead_out(right.as_ref()) => !self.has_own(right),
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } if self.is_column(right) && self.lead_out(left.as_ref()) => !self.has_own(left),
            other => !self.lead_out(other),
        }
    }

    fn is_column(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => !self.lead_out(expr),
            Expr::Cast { expr, .. } | Expr::Nested(expr) => self.is_column(expr),
            _ => false,
        }
    }

    /// Whether an expression names a column of its own beside the outer ones.
    fn has_own(&self, expr: &Expr) -> bool {
        match expr {
            Expr::CompoundIdentifier(_) => !self.lead_out(expr),
            Expr::Cast { expr, .. } | Expr::Nested(expr) => self.has_own(expr),
            _ => true,
        }
    }
}

struct Outside<'a>(&'a Names);

impl Visitor for Outside<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::CompoundIdentifier(idents) => {
                let table = idents.len().checked_sub(2).and_then(|place| idents.get(place));
                if table.is_some_and(|table| !self.0.0.contains(&table.value.to_lowercase())) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
