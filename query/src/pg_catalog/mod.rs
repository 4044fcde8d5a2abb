//! What PostgreSQL's clients ask of a server besides data: `pg_catalog`, `information_schema`, and the functions around them.
//!
//! ```text
//! oids (numbers of what there is) → tables, information (the two schemas, made once) · functions
//! rewrite (a statement that asks for them, in words that DataFusion knows) = session (who asks) + procedures + tableoid + empty (what there is none of) + subqueries + rules;
//!   introspection (asyncpg's)
//! ```
//!
//! What must stay true: all of it is made from the relations when an engine is opened and never changes; nothing reaches the host; a statement
//! that does not ask for any of it is planned as it was written.
//!
//! The tables that describe PostgreSQL itself (types, casts, operators, …) and most rules are datafusion-pg-catalog's. Those that describe what there is here
//! are made here: its own have other numbers after each start, and neither descriptions, nor sizes of types, nor a search path.

mod empty;
mod formatted;
mod functions;
mod information;
mod introspection;
mod names;
mod oids;
mod procedures;
mod rewrite;
mod schema;
mod series;
mod session;
mod subqueries;
mod tableoid;
mod tables;
#[cfg(test)]
mod tests;
mod types;

use std::fmt;
use std::sync::Arc;

use datafusion::catalog::{SchemaProvider, TableFunction, TableFunctionImpl};
use datafusion::common::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::ScalarUDF;
use datafusion_pg_catalog::pg_catalog::PgCatalogStaticTables;
use datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;

use crate::json::JsonTypes;
use crate::table::Relation;
use oids::Oids;
use rewrite::Rules;

pub(crate) use session::Facts;

/// Name of the schema in which PostgreSQL describes itself.
const PG_CATALOG: &str = "pg_catalog";
/// Name of the schema in which the SQL standard has it described.
const INFORMATION_SCHEMA: &str = "information_schema";
/// Who owns what there is.
const OWNER: &str = "wardhouse";
const OWNER_OID: i32 = 10;

/// A setting: its name, its value when nothing was set, and what it does.
pub(crate) type Setting = (&'static str, String, &'static str);

/// What PostgreSQL's clients ask of a server besides data.
pub(crate) struct PgCatalog {
    oids: Arc<Oids>,
    rules: Rules,
    schemas: Vec<(String, Arc<dyn SchemaProvider>)>,
    functions: Vec<Arc<ScalarUDF>>,
    table_functions: Vec<Arc<TableFunction>>,
}

impl fmt::Debug for PgCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgCatalog").finish_non_exhaustive()
    }
}

impl PgCatalog {
    /// What is told of these relations and settings.
    pub(crate) fn new(relations: &[Arc<Relation>], settings: &[Setting]) -> Result<PgCatalog> {
        let fixed = schema::fixed()?;
        let oids = Arc::new(Oids::new(relations, &fixed)?);
        let (pg_catalog, system) = schema::pg_catalog(relations, &oids, settings, &fixed)?;
        let information = information::schema(relations)?;
        Ok(PgCatalog {
            rules: Rules::new(system),
            schemas: vec![(PG_CATALOG.to_owned(), pg_catalog), (INFORMATION_SCHEMA.to_owned(), information)],
            functions: functions::all(&oids),
            table_functions: vec![Arc::new(TableFunction::new("pg_get_keywords".to_owned(), keywords(&fixed)))],
            oids,
        })
    }

    /// The two schemas, to be put into the catalog.
    pub(crate) fn schemas(&self) -> Vec<(String, Arc<dyn SchemaProvider>)> {
        self.schemas.clone()
    }

    /// Functions and types for the state of an engine. Functions of ours stand in the place of DataFusion's of the same name, and so does `information_schema`.
    pub(crate) fn install(&self, mut builder: SessionStateBuilder) -> SessionStateBuilder {
        builder.scalar_functions().get_or_insert_default().extend(self.functions.iter().cloned());
        let tables = builder.table_functions().get_or_insert_default();
        tables.extend(self.table_functions.iter().map(|function| (function.name().to_owned(), Arc::clone(function))));
        for name in series::NAMES {
            if let Some(function) = tables.get_mut(name) {
                *function = series::widened(function);
            }
        }
        builder.config().get_or_insert_default().options_mut().catalog.information_schema = false;
        builder.with_type_planner(Arc::new(JsonTypes(Arc::new(PgOidTypePlanner))))
    }
}

fn keywords(fixed: &PgCatalogStaticTables) -> Arc<dyn TableFunctionImpl> {
    Arc::clone(&fixed.pg_get_keywords) as Arc<dyn TableFunctionImpl>
}
