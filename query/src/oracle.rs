//! The planner over tables in memory: what the answers of stores are compared with.
//!
//! What must stay true: how a statement is read, options, functions, the type in which a float meets a decimal and the unit of times are those
//! of the engine, and the rules are DataFusion's own: no rule of ours, no store and no push-down has a part in its answers. `match()` has no meaning here.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, MemTable, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider, SchemaProvider};
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionContext;
use futures::FutureExt;

use crate::answer::crashed;
use crate::catalog::CATALOG;
use crate::engine::{self, EngineSettings};
use crate::errors::QueryError;
use crate::floats;
use crate::instants;
use crate::settings;
use crate::statement::{self, Command};
use crate::zone;

/// A table and its rows.
#[derive(Clone, Debug)]
pub struct MemoryTable {
    /// Its schema in SQL.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: SchemaRef,
    /// Its rows.
    pub rows: Vec<RecordBatch>,
}

/// DataFusion over tables in memory.
pub struct Oracle {
    context: SessionContext,
    zone: String,
}

impl std::fmt::Debug for Oracle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Oracle").finish_non_exhaustive()
    }
}

impl Oracle {
    /// An oracle over these tables.
    ///
    /// # Errors
    /// [`QueryError::Setting`] for an unknown time zone; rows that are none of their table's columns.
    pub fn over(settings: &EngineSettings, tables: Vec<MemoryTable>) -> Result<Oracle, QueryError> {
        let catalog = MemoryCatalogProvider::new();
        for MemoryTable { schema, name, columns, rows } in tables {
            let found: Arc<dyn SchemaProvider> = match catalog.schema(&schema) {
                Some(found) => found,
                None => {
                    let fresh: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
                    catalog.register_schema(&schema, Arc::clone(&fresh))?;
                    fresh
                }
            };
            found.register_table(name, Arc::new(MemTable::try_new(columns, vec![rows])?))?;
        }
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        let zone = settings::zone(&settings.zone)?.name().to_owned();
        let state = engine::builder(settings, &zone)?.with_catalog_list(Arc::new(catalogs)).build();
        Ok(Oracle { context: SessionContext::new_with_state(state), zone })
    }

    /// The rows of a query.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn query(&self, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>), QueryError> {
        let answer = async {
            let Command::Read(reading) = statement::read(sql)? else { return Err(QueryError::internal("only what reads has rows to compare")) };
            let state = self.context.state();
            let plan = instants::coarsened(state.statement_to_plan(reading.statement).await?)?;
            let plan = floats::widened(zone::localized(plan, &self.zone)?)?;
            let physical = state.create_physical_plan(&plan).await?;
            let columns = physical.schema();
            let rows = collect(physical, self.context.task_ctx()).await?;
            Ok((columns, rows))
        };
        AssertUnwindSafe(answer).catch_unwind().await.map_err(|_| crashed())?
    }
}
