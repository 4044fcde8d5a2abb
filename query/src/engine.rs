//! The engine: from one statement to a stream of batches.
//!
//! What must stay true: a statement is checked before it is planned, and its plan again before it runs; planning and
//! computing take place on the runtime's threads, reading a store never does; no statement changes what another one sees.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono_tz::Tz;
use datafusion::catalog::{CatalogProviderList, MemoryCatalogProviderList};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::config::Dialect;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, SessionStateDefaults};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::physical_plan::execute_stream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use futures::StreamExt;

use crate::catalog::{self, CATALOG, Catalog, DEFAULT_SCHEMA, TableInfo};
use crate::cut::{self, Cut};
use crate::errors::QueryError;
use crate::fulltext;
use crate::json::{self, JsonOperators};
use crate::places::{Places, Stores};
use crate::statement::{self, Allowed, READ, Read};
use crate::table::Relation;

/// Rows of one batch.
const BATCH_ROWS: usize = 8_192;

/// How an engine computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// Time zone of `now()` and of times written without an offset, e.g. `Europe/Berlin`.
    pub zone: String,
    /// Bytes that sorting, grouping and joining of all queries together may hold; beyond it they spill or fail.
    pub memory_limit_bytes: usize,
    /// Into how many parts a query is divided; 0 means 1.
    pub target_partitions: usize,
}

/// What a statement gives.
pub struct QueryResult {
    /// Names and types of the columns.
    pub schema: SchemaRef,
    /// The rows; an error in it is read by [`QueryError::from`].
    pub stream: SendableRecordBatchStream,
    /// What the analyst must be told besides the rows.
    pub notices: Vec<String>,
}

impl std::fmt::Debug for QueryResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryResult").field("schema", &self.schema).field("notices", &self.notices).finish_non_exhaustive()
    }
}

/// One SQL database over the five stores and the log, for one connection. [`Engine::session`] makes another over the same stores.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    /// Whether this connection reads as of a cut.
    cut: AtomicBool,
}

struct Shared {
    state: SessionState,
    stores: Arc<Stores>,
    relations: Vec<Arc<Relation>>,
    tables: Vec<TableInfo>,
    names: Vec<String>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("stores", &self.stores).finish_non_exhaustive()
    }
}

impl Engine {
    /// Makes an engine over the given places. No store is opened.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for an unknown time zone.
    pub fn open(places: Places, settings: EngineSettings) -> Result<Engine, QueryError> {
        let stores = Arc::new(Stores::new(places));
        let relations = catalog::relations(&stores);
        let tables = catalog::described(&relations);
        let names = relations.iter().map(|relation| relation.qualified_name()).collect();
        let state = session(&relations, &settings)?;
        Ok(Engine { shared: Arc::new(Shared { state, stores, relations, tables, names }), cut: AtomicBool::new(false) })
    }

    /// Another connection over the same stores and the same memory, with settings of its own.
    #[must_use]
    pub fn session(&self) -> Engine {
        Engine { shared: Arc::clone(&self.shared), cut: AtomicBool::new(false) }
    }

    /// Every table and view, in the catalog's order.
    #[must_use]
    pub fn tables(&self) -> Vec<TableInfo> {
        self.shared.tables.clone()
    }

    /// As of when this connection reads.
    #[must_use]
    pub fn read(&self) -> Read {
        if self.cut.load(Ordering::Relaxed) { Read::Cut } else { Read::Latest }
    }

    /// Plans one statement and begins to answer it. Dropping the stream ends the query.
    ///
    /// # Errors
    /// See [`QueryError`]; what fails later is in the stream.
    pub async fn query(&self, sql: &str) -> Result<QueryResult, QueryError> {
        match statement::read(sql)? {
            Allowed::SetRead(read) => {
                self.cut.store(read == Read::Cut, Ordering::Relaxed);
                Ok(empty(vec![format!("{READ} is {}", read.as_str())]))
            }
            Allowed::ShowRead => one_value(READ, self.read().as_str()),
            Allowed::Query(statement) => self.answer(*statement).await,
        }
    }

    async fn answer(&self, statement: Statement) -> Result<QueryResult, QueryError> {
        let told = |error: DataFusionError| QueryError::told(&error, &self.shared.names);
        let mut state = self.shared.state.clone();
        let as_of_cut = self.read() == Read::Cut;
        if as_of_cut {
            let cut = self.cut_now().await?;
            state.config_mut().set_extension(Arc::new(cut));
        }
        state.mark_start_execution();
        let plan = state.statement_to_plan(statement).await.map_err(told)?;
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false).verify_plan(&plan).map_err(told)?;
        let plan = state.optimize(&plan).map_err(told)?;
        fulltext::check(&plan)?;
        let notices = if as_of_cut { self.notices(&plan) } else { Vec::new() };
        let physical = state.query_planner().create_physical_plan(&plan, &state).await.map_err(told)?;
        let schema = physical.schema();
        let stream = execute_stream(physical, state.task_ctx()).map_err(told)?;
        Ok(QueryResult { schema: Arc::clone(&schema), stream: caught(schema, stream), notices })
    }

    /// The lowest position that the three stores have reached.
    async fn cut_now(&self) -> Result<Cut, QueryError> {
        let stores = Arc::clone(&self.shared.stores);
        let read = move || -> Result<Cut, QueryError> { Ok(Cut::of(&[stores.ledger.positions()?, stores.documents.positions()?, stores.search.positions()?])) };
        tokio::task::spawn_blocking(read).await.map_err(QueryError::internal)?
    }

    /// What to tell of the tables in a plan that do not obey the cut.
    fn notices(&self, plan: &LogicalPlan) -> Vec<String> {
        let mut notices: Vec<String> = Vec::new();
        let mut note = |name: &TableReference| {
            let schema = name.schema().unwrap_or(DEFAULT_SCHEMA);
            let found = self.shared.relations.iter().find(|relation| relation.schema_name == schema && relation.name == name.table());
            if let Some(notice) = found.and_then(|relation| cut::notice(&relation.qualified_name(), relation.cut))
                && !notices.contains(&notice)
            {
                notices.push(notice);
            }
        };
        let walked = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                note(&scan.table_name);
            }
            Ok(TreeNodeRecursion::Continue)
        });
        if let Err(error) = walked {
            tracing::debug!(%error, "a plan could not be walked for notices");
        }
        notices
    }
}

/// What sorts and joins may write into the temporary folder when memory does not suffice: 2 GiB.
const SPILL_BYTES: u64 = 2 << 30;

/// The state from which each query's own is cloned.
fn session(relations: &[Arc<Relation>], settings: &EngineSettings) -> Result<SessionState, QueryError> {
    let zone: Tz = settings.zone.parse().map_err(|_| QueryError::Invalid {
        message: format!("there is no time zone {:?}", settings.zone),
        line: None,
        column: None,
        hint: Some("write it as in Europe/Berlin or UTC".to_owned()),
    })?;
    let mut config = SessionConfig::new()
        .with_batch_size(BATCH_ROWS)
        .with_target_partitions(settings.target_partitions.max(1))
        .with_information_schema(true)
        .with_default_catalog_and_schema(CATALOG, DEFAULT_SCHEMA)
        .with_create_default_catalog_and_schema(false);
    let options = config.options_mut();
    options.execution.time_zone = Some(zone.name().to_owned());
    options.sql_parser.dialect = Dialect::PostgreSQL;
    // A number with a point is exact, so that money is compared with money.
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.collect_spans = true;
    let memory = FairSpillPool::new(settings.memory_limit_bytes);
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(memory)).with_max_temp_directory_size(SPILL_BYTES).build_arc().map_err(QueryError::from)?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::new(Catalog::new(relations)));
    let mut planners: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(JsonOperators::new())];
    planners.extend(SessionStateDefaults::default_expr_planners());
    let mut functions = SessionStateDefaults::default_scalar_functions();
    functions.extend(json::functions().into_iter().map(Arc::new));
    functions.push(Arc::new(fulltext::match_function()));
    // No table factory, no file format: nothing of the host can be named. The table functions make series of numbers.
    Ok(SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_catalog_list(Arc::new(catalogs))
        .with_expr_planners(planners)
        .with_scalar_functions(functions)
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_function_list(SessionStateDefaults::default_table_functions())
        .build())
}

/// A stream whose panics are errors: a fault in a plan ends its query, not the session around it.
fn caught(schema: SchemaRef, stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let batches = AssertUnwindSafe(stream).catch_unwind().map(|batch| {
        batch.unwrap_or_else(|_| Err(DataFusionError::Internal("the plan of this query cannot be run: write it with a join condition, or with fewer tables".to_owned())))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

fn empty(notices: Vec<String>) -> QueryResult {
    let schema: SchemaRef = Arc::new(Schema::empty());
    let stream = RecordBatchStreamAdapter::new(Arc::clone(&schema), futures::stream::empty::<Result<RecordBatch, DataFusionError>>());
    QueryResult { schema, stream: Box::pin(stream), notices }
}

/// One row of name and value, as SHOW gives them.
fn one_value(name: &str, value: &str) -> Result<QueryResult, QueryError> {
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("name", DataType::Utf8, false), Field::new("value", DataType::Utf8, false)]));
    let columns = [name, value].map(|text| -> arrow::array::ArrayRef { Arc::new(StringArray::from(vec![text.to_owned()])) });
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns.to_vec()).map_err(QueryError::internal)?;
    let stream = RecordBatchStreamAdapter::new(Arc::clone(&schema), futures::stream::iter([Ok::<_, DataFusionError>(batch)]));
    Ok(QueryResult { schema, stream: Box::pin(stream), notices: Vec::new() })
}
