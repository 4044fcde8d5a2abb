//! Two tables of one store, joined, as a table.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::side;
use crate::table::{Origin, Relation, scanned, supported};

/// A join of two tables. Its columns are those of the left table, then those of the right one, each behind its alias.
#[derive(Debug)]
pub(crate) struct JoinedTable {
    pub(crate) origin: Origin,
}

impl JoinedTable {
    /// `None` where no store holds both, or it does not join them.
    pub(super) fn new(left: &Relation, right: &Relation, on: &[(usize, usize)]) -> Option<JoinedTable> {
        let scan = left.scan.joined(&right.scan, on)?;
        let (of_left, of_right) = (left.scan.schema(), right.scan.schema());
        let cuts = vec![(left.cut, side(&of_left, &of_right, true)), (right.cut, side(&of_left, &of_right, false))];
        let name = format!("{} join {}", left.qualified_name(), right.qualified_name());
        Some(JoinedTable { origin: Origin { name, scan, cuts } })
    }
}

#[async_trait]
impl TableProvider for JoinedTable {
    fn schema(&self) -> SchemaRef {
        self.origin.scan.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        supported(&self.origin, &self.schema(), filters)
    }

    async fn scan(&self, state: &dyn Session, projection: Option<&Vec<usize>>, filters: &[Expr], limit: Option<usize>) -> Result<Arc<dyn ExecutionPlan>> {
        scanned(&self.origin, &self.schema(), state, projection, filters, limit).await
    }
}
