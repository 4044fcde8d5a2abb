//! `json` and `jsonb` as types: JSON is text here, so that `'{"a":1}'::jsonb` is the text.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::DataType as SqlType;

/// Plans the two types, and leaves all others to the planner that it has.
#[derive(Debug)]
pub(crate) struct JsonTypes(pub(crate) Arc<dyn TypePlanner>);

impl TypePlanner for JsonTypes {
    fn plan_type_field(&self, sql_type: &SqlType) -> Result<Option<FieldRef>> {
        match sql_type {
            SqlType::JSON | SqlType::JSONB => Ok(Some(Arc::new(Field::new("", DataType::Utf8, true)))),
            other => self.0.plan_type_field(other),
        }
    }
}
