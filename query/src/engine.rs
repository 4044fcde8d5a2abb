//! The engine: what all sessions share, and the state of DataFusion from which each query's own is cloned.
//!
//! What must stay true: no store is opened before it is read; nothing of the host can be named in SQL; no statement changes what another
//! session sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use datafusion::catalog::{CatalogProviderList, MemoryCatalogProviderList};
use datafusion::common::DataFusionError;
use datafusion::config::Dialect;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder, SessionStateDefaults};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::optimizer::{Analyzer, AnalyzerRule};
use datafusion::prelude::SessionConfig;

use crate::aggregates;
use crate::bounded;
use crate::buckets;
use crate::cache::Cache;
use crate::catalog::{self, CATALOG, Catalog, DEFAULT_SCHEMA, TableInfo};
use crate::comparisons::CheckComparisons;
use crate::compute::Compute;
use crate::errors::QueryError;
use crate::fulltext;
use crate::integers::CheckIntegers;
use crate::json::{self, JsonOperators};
use crate::late;
use crate::lateral;
use crate::membership::KnowUnknown;
use crate::numbers::{self, GuardDivisors, PostgresNumbers};
use crate::pg_catalog::PgCatalog;
use crate::places::{Places, Stores};
use crate::principal::Principal;
use crate::quantified::CompareWithAll;
use crate::queries::Queries;
use crate::session::Session;
use crate::settings::{self, Defaults, Planning, Settings};
use crate::snippet;
use crate::synonyms;
use crate::table::Relation;
use crate::yielding;

/// Rows of one batch.
const BATCH_ROWS: usize = 8_192;

/// How an engine computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// Time zone of `now()`, of times written without an offset, and of times that are shown, e.g. `Europe/Berlin`.
    pub zone: String,
    /// Bytes that sorting, grouping and joining of all queries together may hold; beyond it they spill or fail.
    pub memory_limit_bytes: usize,
    /// Into how many parts a query is divided; 0 means 1.
    pub target_partitions: usize,
    /// How long a statement may run where its session sets nothing; a role's own limit holds beside it.
    pub statement_timeout: Option<Duration>,
}

/// One SQL database over the five stores and the log. Cheap to clone; [`Engine::session`] makes a connection to it.
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What all sessions share.
pub(crate) struct Shared {
    state: SessionState,
    /// What PostgreSQL's clients ask of a server besides data.
    pub(crate) pg_catalog: PgCatalog,
    /// IANA name of the zone that a session has when it is opened.
    zone: String,
    /// How long a statement may run where a session sets nothing.
    timeout: Option<Duration>,
    schemas: Arc<[String]>,
    tables: Vec<TableInfo>,
    /// Every relation's name with its schema.
    pub(crate) names: Vec<String>,
    pub(crate) stores: Arc<Stores>,
    pub(crate) queries: Arc<Queries>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) compute: Compute,
    sessions: AtomicU32,
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
    /// [`QueryError::Setting`] for an unknown time zone.
    pub fn open(places: Places, settings: EngineSettings) -> Result<Engine, QueryError> {
        let stores = Arc::new(Stores::new(places));
        let queries = Arc::new(Queries::default());
        let relations = catalog::relations(&stores, &queries);
        let tables = catalog::described(&relations);
        let names = relations.iter().map(|relation| relation.qualified_name()).collect();
        let mut schemas: Vec<String> = Vec::new();
        for relation in &relations {
            if !schemas.iter().any(|schema| schema == relation.schema_name) {
                schemas.push(relation.schema_name.to_owned());
            }
        }
        let zone = settings::zone(&settings.zone)?.name().to_owned();
        let known = Settings::new(Defaults { zone: zone.clone(), principal: String::new(), timeout: None, most: None, schemas: schemas.clone().into() }).all();
        let pg_catalog = PgCatalog::new(&relations, &known)?;
        let state = state(&relations, &settings, &zone, &pg_catalog)?;
        let timeout = settings.statement_timeout;
        let compute = Compute::start(settings.target_partitions)?;
        let (schemas, cache, sessions) = (schemas.into(), Arc::default(), AtomicU32::new(0));
        let shared = Shared { state, pg_catalog, zone, timeout, schemas, tables, names, stores, queries, cache, compute, sessions };
        Ok(Engine { shared: Arc::new(shared) })
    }

    /// A connection, with settings of its own.
    #[must_use]
    pub fn session(&self, principal: Principal) -> Session {
        let defaults = Defaults {
            zone: self.shared.zone.clone(),
            principal: principal.name.clone(),
            timeout: self.shared.timeout,
            most: principal.limits.statement_timeout,
            schemas: Arc::clone(&self.shared.schemas),
        };
        // From 1 to the greatest positive number of 32 bits, again and again.
        let number = self.shared.sessions.fetch_add(1, Ordering::Relaxed) % (u32::MAX >> 1);
        let id = i32::try_from(number + 1).unwrap_or(i32::MAX);
        Session::new(Arc::clone(&self.shared), id, principal, Settings::new(defaults))
    }

    /// Every table and view, in the catalog's order.
    #[must_use]
    pub fn tables(&self) -> Vec<TableInfo> {
        self.shared.tables.clone()
    }

    /// The queries that run, and those that ran lately.
    #[must_use]
    pub fn queries(&self) -> &Queries {
        &self.shared.queries
    }
}

impl Shared {
    /// The state for one query.
    pub(crate) fn state(&self, planning: &Planning) -> Result<SessionState, QueryError> {
        let mut state = self.state.clone();
        if planning.schema != DEFAULT_SCHEMA {
            state.config_mut().options_mut().catalog.default_schema = planning.schema.clone();
        }
        if planning.zone != self.zone {
            state.config_mut().options_mut().execution.time_zone = Some(planning.zone.clone());
            // Some functions have taken the zone with them.
            let options = Arc::clone(state.config_options());
            let updated: Vec<_> = state.scalar_functions().values().filter_map(|function| function.inner().with_updated_config(&options)).collect();
            for function in updated {
                state.register_udf(Arc::new(function))?;
            }
        }
        Ok(state)
    }

    /// What a failure of DataFusion says.
    pub(crate) fn told(&self, error: &DataFusionError) -> QueryError {
        QueryError::told(error, &self.names)
    }
}

/// What sorts and joins may write into the temporary folder when memory does not suffice: 2 GiB.
pub(crate) const SPILL_BYTES: u64 = 2 << 30;

/// The state from which each query's own is cloned.
fn state(relations: &[Arc<Relation>], settings: &EngineSettings, zone: &str, pg_catalog: &PgCatalog) -> Result<SessionState, QueryError> {
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::new(Catalog::new(relations, pg_catalog.schemas())));
    Ok(pg_catalog.install(builder(settings, zone)?).with_catalog_list(Arc::new(catalogs)).with_optimizer_rules(aggregates::rules()).build())
}

/// Options and functions: everything but the catalog and the rules that push down into stores.
pub(crate) fn builder(settings: &EngineSettings, zone: &str) -> Result<SessionStateBuilder, QueryError> {
    let mut config = SessionConfig::new()
        .with_batch_size(BATCH_ROWS)
        .with_target_partitions(settings.target_partitions.max(1))
        .with_information_schema(true)
        .with_default_catalog_and_schema(CATALOG, DEFAULT_SCHEMA)
        .with_create_default_catalog_and_schema(false);
    let options = config.options_mut();
    options.execution.time_zone = Some(zone.to_owned());
    options.sql_parser.dialect = Dialect::PostgreSQL;
    // A number with a point is exact, so that money is compared with money.
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.collect_spans = true;
    // What a join's build side holds is asked of its probe side's store as a list up to here, beyond it as bounds.
    options.optimizer.hash_join_inlist_pushdown_max_distinct_values = late::MAX_VALUES;
    options.optimizer.hash_join_inlist_pushdown_max_size = late::MAX_BYTES;
    // What is probably one batch is not divided: handing it from thread to thread takes longer than most of what is computed of it.
    options.execution.use_row_number_estimates_to_optimize_partitioning = true;
    let memory = FairSpillPool::new(settings.memory_limit_bytes);
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(memory)).with_max_temp_directory_size(SPILL_BYTES).build_arc().map_err(QueryError::from)?;
    let mut planners: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(JsonOperators::new()), bounded::operator()];
    planners.extend(SessionStateDefaults::default_expr_planners());
    let mut functions = bounded::bounded(SessionStateDefaults::default_scalar_functions());
    functions.push(Arc::new(bounded::textcat()));
    functions.extend(json::functions().into_iter().map(Arc::new));
    functions.push(Arc::new(fulltext::match_function()));
    functions.push(Arc::new(snippet::function()));
    functions.extend(aggregates::functions());
    let mut summaries = SessionStateDefaults::default_aggregate_functions();
    summaries.push(numbers::average());
    summaries.push(numbers::sum());
    let mut tables = SessionStateDefaults::default_table_functions();
    tables.push(buckets::function());
    // No table factory, no file format: nothing of the host can be named. The table functions make series of numbers.
    Ok(SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_expr_planners(planners)
        .with_scalar_functions(synonyms::scalars(functions))
        .with_physical_optimizer_rules(yielding::rules())
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(synonyms::aggregates(summaries))
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_function_list(tables)
        .with_analyzer_rules(analysis()))
}

/// DataFusion's own rules of analysis; before the one that coerces types, those of numbers, and behind all, that of `unnest`.
fn analysis() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let mut rules = Analyzer::new().rules;
    rules.insert(0, Arc::new(PostgresNumbers));
    rules.insert(0, Arc::new(CheckIntegers));
    rules.insert(0, Arc::new(CheckComparisons));
    rules.insert(0, Arc::new(GuardDivisors));
    rules.push(Arc::new(CompareWithAll));
    rules.push(Arc::new(KnowUnknown));
    rules.push(Arc::new(lateral::UnnestBeside));
    rules
}
