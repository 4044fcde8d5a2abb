//! What a statement asks of its own session: who asks, in which schemas names are looked for, which settings hold.
//!
//! What must stay true: what is put in the place of a question is a literal; a name that a column has because of what was asked stays.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Array, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Select, SelectItem, Value, VisitMut,
    VisitorMut,
};

use super::functions::{FUNCTION_NUMBER, IS_VISIBLE, RELATION_NAME, RELATION_NUMBER, SCHEMA_NAME};
use super::oids::Oids;
use super::{INFORMATION_SCHEMA, PG_CATALOG, names};
use crate::catalog::CATALOG;

/// What is known of a session.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// Who asks.
    pub(crate) user: &'a str,
    /// The number that clients take for the server's process.
    pub(crate) id: i32,
    /// The value of a setting, where there is such a one.
    pub(crate) setting: &'a dyn Fn(&str) -> Option<String>,
}

/// Puts what is known of the session, and numbers for names, in their places.
pub(super) fn rewrite<T: VisitMut>(statement: &mut T, facts: &Facts<'_>, oids: &Oids) {
    let said = (facts.setting)("search_path").unwrap_or_default();
    let path: Vec<String> = names::path(&said).into_iter().filter(|schema| oids.schema(schema).is_some()).collect();
    let ControlFlow::Continue(()) = statement.visit(&mut Answers { facts, oids, path });
}

struct Answers<'a> {
    facts: &'a Facts<'a>,
    oids: &'a Oids,
    path: Vec<String>,
}

impl VisitorMut for Answers<'_> {
    type Break = std::convert::Infallible;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && let Some(name) = question(expr)
                && self.answer(expr).is_some()
            {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::new(name) };
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Some(answer) = self.answer(expr) {
            *expr = answer;
        }
        ControlFlow::Continue(())
    }
}

impl Answers<'_> {
    fn answer(&self, expr: &Expr) -> Option<Expr> {
        match expr {
            Expr::Function(_) | Expr::Identifier(_) => self.asked(&question(expr)?, expr),
            Expr::Cast { expr: operand, data_type, .. } => self.number(operand, data_type).or_else(|| self.looked_up(operand, data_type)).or_else(|| shown(operand, data_type)),
            // Which schemas are looked in, as Grafana asks: by taking the setting apart.
            Expr::InSubquery { expr, subquery, negated } => {
                let asked = subquery.to_string().to_lowercase();
                asked.contains("current_setting('search_path')").then(|| Expr::InList { expr: expr.clone(), list: self.path.iter().map(text).collect(), negated: *negated })
            }
            _ => None,
        }
    }

    fn asked(&self, name: &str, expr: &Expr) -> Option<Expr> {
        let arguments = arguments(expr);
        let first_text = || arguments.first().and_then(|argument| literal(argument));
        Some(match name {
            "current_user" | "session_user" | "user" | "current_role" => text(self.facts.user),
            "current_database" | "current_catalog" => text(CATALOG),
            "current_schema" => self.path.first().map_or_else(null, text),
            "current_schemas" => {
                let with_system = arguments.first().is_some_and(|argument| argument.to_string().eq_ignore_ascii_case("true"));
                let system = with_system.then(|| text(PG_CATALOG));
                Expr::Array(Array { elem: system.into_iter().chain(self.path.iter().map(text)).collect(), named: true })
            }
            "pg_backend_pid" => number(self.facts.id),
            "current_setting" => (self.facts.setting)(&first_text()?).map_or_else(null, text),
            // Nothing is set by a query.
            "set_config" => (*arguments.get(1)?).clone(),
            "to_regclass" => call(RELATION_NUMBER, vec![(*arguments.first()?).clone(), text(self.path.join(","))]),
            "pg_table_is_visible" => call(IS_VISIBLE, vec![(*arguments.first()?).clone(), text(self.path.join(","))]),
            _ => return None,
        })
    }

    /// The number of what a literal names: `'pg_class'::regclass`.
    fn number(&self, operand: &Expr, data_type: &DataType) -> Option<Expr> {
        let kind = type_name(data_type);
        if !kind.starts_with("reg") {
            return None;
        }
        let name = literal(operand)?;
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
            return name.parse().ok().map(number);
        }
        match kind.as_str() {
            "regclass" => self.oids.relation_named(&name, &self.path),
            "regnamespace" => names::parts(&name).as_deref().and_then(|parts| if let [schema] = parts { self.oids.schema(schema) } else { None }),
            "regtype" => self.oids.type_named(&name),
            "regproc" | "regprocedure" => self.oids.function_named(&name),
            _ => None,
        }
        .map(number)
    }

    /// The number of what a text names that is known when the query runs: `$1::regclass`, `$1::varchar::regclass`.
    fn looked_up(&self, operand: &Expr, data_type: &DataType) -> Option<Expr> {
        let named = match operand {
            Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
                Expr::Cast { kind: CastKind::Cast, expr: Box::new(operand.clone()), data_type: DataType::Text, array: false, format: None }
            }
            // What a number is shown as is no name to look for.
            Expr::Cast { expr: inner, data_type: named, .. } if is_text(named) && !matches!(**inner, Expr::Cast { .. }) => operand.clone(),
            _ => return None,
        };
        match type_name(data_type).as_str() {
            "regclass" => Some(call(RELATION_NUMBER, vec![named, text(self.path.join(","))])),
            "regnamespace" => Some(call("to_regnamespace", vec![named])),
            "regtype" => Some(call("to_regtype", vec![named])),
            "regproc" | "regprocedure" => Some(call(FUNCTION_NUMBER, vec![named])),
            _ => None,
        }
    }
}

/// Whether it is a type of texts.
fn is_text(data_type: &DataType) -> bool {
    matches!(type_name(data_type).as_str(), "text" | "varchar" | "character varying" | "name")
}

/// What a cast to text shows of a number: `atttypid::regtype::text`.
fn shown(operand: &Expr, data_type: &DataType) -> Option<Expr> {
    if matches!(type_name(data_type).as_str(), "regtype[]" | "regproc[]") && literal(operand).is_none() {
        // Lists of the arguments of functions, of which there are none to tell of.
        return Some(null());
    }
    if !is_text(data_type) {
        return None;
    }
    if let Expr::Function(function) = operand {
        // What these give, as PostgreSQL shows it.
        return match function_name(function)?.as_str() {
            "to_regclass" => Some(call(RELATION_NAME, vec![operand.clone()])),
            "to_regnamespace" => Some(call(SCHEMA_NAME, vec![operand.clone()])),
            "to_regtype" => Some(call("format_type", vec![operand.clone(), cast_null_to_integer()])),
            _ => None,
        };
    }
    let Expr::Cast { expr: number, data_type, .. } = operand else { return None };
    if literal(number).is_some() {
        return None;
    }
    match type_name(data_type).as_str() {
        "regtype" => Some(call("format_type", vec![number.as_ref().clone(), cast_null_to_integer()])),
        "regclass" => Some(call(RELATION_NAME, vec![number.as_ref().clone()])),
        "regnamespace" => Some(call(SCHEMA_NAME, vec![number.as_ref().clone()])),
        _ => None,
    }
}

/// The name of a function that is called, or of what PostgreSQL calls without brackets.
fn question(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Function(function) => function_name(function),
        Expr::Identifier(ident) if ident.quote_style.is_none() => {
            let name = ident.value.to_lowercase();
            ["current_schema", "current_role"].contains(&name.as_str()).then_some(name)
        }
        _ => None,
    }
}

/// The name of a function, with or without `pg_catalog` before it.
pub(super) fn function_name(function: &Function) -> Option<String> {
    let parts: Option<Vec<String>> = function.name.0.iter().map(|part| part.as_ident().map(|ident| ident.value.to_lowercase())).collect();
    match parts?.as_slice() {
        [name] => Some(name.clone()),
        [schema, name] if schema == PG_CATALOG || schema == INFORMATION_SCHEMA => Some(name.clone()),
        _ => None,
    }
}

fn arguments(expr: &Expr) -> Vec<&Expr> {
    let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = expr else { return Vec::new() };
    list.args
        .iter()
        .filter_map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect()
}

/// The text of a literal.
pub(super) fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        Expr::Nested(inner) => literal(inner),
        _ => None,
    }
}

/// A type's name without `pg_catalog`, in small letters.
pub(super) fn type_name(data_type: &DataType) -> String {
    let name = data_type.to_string().to_lowercase();
    name.strip_prefix("pg_catalog.").map_or_else(|| name.clone(), str::to_owned)
}

fn null() -> Expr {
    Expr::Value(Value::Null.with_empty_span())
}

fn cast_null_to_integer() -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(null()), data_type: DataType::Integer(None), array: false, format: None }
}

fn text(value: impl Into<String>) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.into()).with_empty_span())
}

fn number(value: i32) -> Expr {
    Expr::Value(Value::Number(value.to_string(), false).with_empty_span())
}

/// A call of a function.
pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(Function {
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
