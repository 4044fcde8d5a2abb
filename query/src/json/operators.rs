//! PostgreSQL's operators on JSON, planned as their functions.
//!
//! What must stay true: `@>` and `<@` between arrays stay with DataFusion; what a statement itself writes wrongly (JSON, an array of keys) is
//! told when it is planned.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use wh_schemas::json::Node;

use super::function::{self, Kind};
use super::get::{self, Gives};
use super::value;

/// Plans the operators as their functions.
#[derive(Debug)]
pub(crate) struct JsonOperators {
    json: Arc<ScalarUDF>,
    text: Arc<ScalarUDF>,
    extract: Arc<ScalarUDF>,
    extract_text: Arc<ScalarUDF>,
    path: Arc<ScalarUDF>,
    path_text: Arc<ScalarUDF>,
    contains: Arc<ScalarUDF>,
    has_key: Arc<ScalarUDF>,
    has_any: Arc<ScalarUDF>,
    has_all: Arc<ScalarUDF>,
}

impl JsonOperators {
    pub(crate) fn new() -> JsonOperators {
        let other = |kind| Arc::new(function::function(kind));
        JsonOperators {
            json: Arc::new(get::function(Gives::Json)),
            text: Arc::new(get::function(Gives::Text)),
            extract: other(Kind::Extract(Gives::Json)),
            extract_text: other(Kind::Extract(Gives::Text)),
            path: other(Kind::Path(Gives::Json)),
            path_text: other(Kind::Path(Gives::Text)),
            contains: other(Kind::Contains),
            has_key: other(Kind::HasKey),
            has_any: other(Kind::HasAny),
            has_all: other(Kind::HasAll),
        }
    }
}

impl ExprPlanner for JsonOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = expr;
        let planned = match op {
            BinaryOperator::Arrow => self.json.call(vec![left, right]),
            BinaryOperator::LongArrow => self.text.call(vec![left, right]),
            BinaryOperator::HashArrow => along(&self.extract, &self.path, left, right)?,
            BinaryOperator::HashLongArrow => along(&self.extract_text, &self.path_text, left, right)?,
            BinaryOperator::Question => self.has_key.call(vec![left, right]),
            BinaryOperator::QuestionPipe => self.has_any.call(vec![left, right]),
            BinaryOperator::QuestionAnd => self.has_all.call(vec![left, right]),
            BinaryOperator::AtArrow if !is_list(&left, schema) => self.contains.call(vec![left, json(right)?]),
            BinaryOperator::ArrowAt if !is_list(&left, schema) => self.contains.call(vec![json(right)?, left]),
            op => return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right })),
        };
        Ok(PlannerResult::Planned(planned))
    }
}

fn is_list(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|data_type| matches!(data_type, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)))
}

/// A path that the statement writes as a text is one of constant steps.
fn along(extract: &ScalarUDF, path: &ScalarUDF, json: Expr, steps: Expr) -> Result<Expr> {
    let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = &steps else { return Ok(path.call(vec![json, steps])) };
    match value::text_array(text) {
        Some(steps) => Ok(extract.call(std::iter::once(json).chain(steps.into_iter().map(lit)).collect())),
        None => plan_err!("'{text}' is no array of text, like '{{a,b}}'"),
    }
}

/// An operand, which must be JSON where the statement writes it.
fn json(operand: Expr) -> Result<Expr> {
    if let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = &operand
        && let Err(error) = Node::parse(text)
    {
        return plan_err!("'{text}' is no JSON: {error}");
    }
    Ok(operand)
}
