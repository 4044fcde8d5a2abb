//! Catalog `wardhouse`: every schema, table and view of SQL, made once and never changed.
//!
//! What must stay true: nothing can be registered from SQL; the order of schemas and tables is that of the design.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::Result;
use wh_schemas::arrow as tables;

use crate::cut::CutRule;
use crate::places::Stores;
use crate::queries::Queries;
use crate::spelling;
use crate::store::RoleStore;
use crate::system::reconciliation::ReconciliationScan;
use crate::system::{SystemScan, What, queries};
use crate::table::Relation;

/// Name of the catalog.
pub(crate) const CATALOG: &str = "wardhouse";
/// The schema whose tables need no name before them.
pub(crate) const DEFAULT_SCHEMA: &str = "ledger";
/// Begins the name of a schema that is none: the schemas of a `search_path`, in which a name is looked for one after the other.
pub(crate) const PATH: &str = "$path:";

/// A column, for completion and `\d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Its name.
    pub name: String,
    /// Its type as SQL calls it.
    pub data_type: String,
    /// Whether it may be NULL.
    pub nullable: bool,
}

/// A table or view, for completion and `\d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its columns, in the order of `SELECT *`.
    pub columns: Vec<ColumnInfo>,
    /// One line on what it holds.
    pub description: String,
    /// Whether SQL calls it a view.
    pub is_view: bool,
    /// Columns that have no value twice.
    pub unique: Vec<String>,
}

/// Every relation over the given stores, and over the queries that are asked of them.
pub(crate) fn relations(stores: &Arc<Stores>, asked: &Arc<Queries>) -> Vec<Arc<Relation>> {
    let mut relations: Vec<Relation> = Vec::new();
    for store in
        [Arc::clone(&stores.ledger) as Arc<dyn RoleStore>, stores.documents.clone(), stores.metrics.clone(), stores.baselines.clone(), stores.search.clone(), stores.log.clone()]
    {
        relations.extend(store.relations());
    }
    for (name, description, what, schema) in [
        ("freshness", "how far each store has come, and how many rows it is behind the scorer", What::Freshness, tables::freshness()),
        ("stores", "where each role is kept and whether it answers", What::Stores, tables::stores()),
        ("queries", "the queries that run, and the newest 1,000 that ran: who asked what, how long it took, and what each store did", What::Queries, queries::schema()),
    ] {
        let scan = Arc::new(SystemScan { stores: Arc::clone(stores), queries: Arc::clone(asked), what, schema });
        relations.push(Relation { schema_name: "system", name: name.to_owned(), description: description.to_owned(), cut: CutRule::Outside, is_view: false, scan });
    }
    if let Some(audit_log) = relations.iter().find(|relation| relation.schema_name == "ledger" && relation.name == "audit_log") {
        let scan = Arc::new(ReconciliationScan::new(Arc::clone(&audit_log.scan)));
        let description = "what `wardhouse reconcile` found: each store against the log, by ranges of rows".to_owned();
        relations.push(Relation { schema_name: "system", name: "reconciliation".to_owned(), description, cut: CutRule::Outside, is_view: false, scan });
    }
    relations.into_iter().map(Arc::new).collect()
}

/// What users are told of the relations.
pub(crate) fn described(relations: &[Arc<Relation>]) -> Vec<TableInfo> {
    let columns = |schema: SchemaRef| {
        let column = |field: &arrow::datatypes::FieldRef| ColumnInfo { name: field.name().clone(), data_type: type_name(field.data_type()), nullable: field.is_nullable() };
        schema.fields().iter().map(column).collect::<Vec<_>>()
    };
    relations
        .iter()
        .map(|relation| TableInfo {
            schema: relation.schema_name.to_owned(),
            name: relation.name.clone(),
            columns: columns(relation.scan.schema()),
            description: relation.description.clone(),
            is_view: relation.is_view,
            unique: relation.scan.schema().fields().iter().enumerate().filter(|(index, _)| relation.scan.is_unique(*index)).map(|(_, field)| field.name().clone()).collect(),
        })
        .collect()
}

/// A type as SQL calls it.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "text".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".to_owned(),
        other => spelling::sql_type(other),
    }
}

/// The catalog of these relations.
#[derive(Debug)]
pub(crate) struct Catalog {
    schemas: Vec<(String, Arc<dyn SchemaProvider>)>,
}

impl Catalog {
    /// The relations by their schemas, and behind them other schemas.
    pub(crate) fn new(relations: &[Arc<Relation>], others: Vec<(String, Arc<dyn SchemaProvider>)>) -> Catalog {
        let mut schemas: Vec<(&'static str, Schema)> = Vec::new();
        for relation in relations {
            match schemas.iter_mut().find(|(name, _)| *name == relation.schema_name) {
                Some((_, schema)) => schema.tables.push(Arc::clone(relation)),
                None => schemas.push((relation.schema_name, Schema { tables: vec![Arc::clone(relation)] })),
            }
        }
        let ours = schemas.into_iter().map(|(name, schema)| (name.to_owned(), Arc::new(schema) as Arc<dyn SchemaProvider>));
        Catalog { schemas: ours.chain(others).collect() }
    }
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        self.schemas.iter().map(|(name, _)| name.clone()).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let of = |name: &str| self.schemas.iter().find(|(known, _)| known == name).map(|(_, schema)| Arc::clone(schema));
        match name.strip_prefix(PATH) {
            Some(path) => Some(Arc::new(Path { schemas: path.split(',').filter_map(of).collect() })),
            None => of(name),
        }
    }
}

/// One schema of the catalog.
#[derive(Debug)]
pub(crate) struct Schema {
    tables: Vec<Arc<Relation>>,
}

#[async_trait]
impl SchemaProvider for Schema {
    fn table_names(&self) -> Vec<String> {
        self.tables.iter().map(|table| table.name.clone()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.tables.iter().find(|table| table.name == name).map(|table| Arc::clone(table) as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.iter().any(|table| table.name == name)
    }
}

/// Several schemas, of which the first that has a table gives it.
#[derive(Debug)]
struct Path {
    schemas: Vec<Arc<dyn SchemaProvider>>,
}

#[async_trait]
impl SchemaProvider for Path {
    fn table_names(&self) -> Vec<String> {
        Vec::new()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        for schema in &self.schemas {
            if let Some(table) = schema.table(name).await? {
                return Ok(Some(table));
            }
        }
        Ok(None)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.schemas.iter().any(|schema| schema.table_exist(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Places;
    use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};

    #[test]
    fn the_catalog_holds_what_the_design_lists() {
        let place = std::path::PathBuf::from("/nowhere");
        let places = Places {
            log: LogPlace::Sqlite(place.clone()),
            ledger: LedgerPlace::Sqlite(place.clone()),
            documents: DocumentsPlace::Sqlite(place.clone()),
            metrics: MetricsPlace::Sqlite(place.clone()),
            baselines: BaselinesPlace::Sqlite(place.clone()),
            search: SearchPlace::Tantivy(place),
        };
        let relations = relations(&Arc::new(Stores::new(places)), &Arc::new(Queries::default()));
        let names: Vec<String> = relations.iter().map(|relation| relation.qualified_name()).collect();
        for name in [
            "ledger.transactions",
            "ledger.user_risk_summary",
            "documents.explanations",
            "metrics.throughput",
            "baselines.users",
            "search.alerts",
            "log.risk_scores",
            "log.dead_letters",
            "system.freshness",
            "system.queries",
            "system.reconciliation",
        ] {
            assert!(names.contains(&name.to_owned()), "{name}");
        }
        let catalog = Catalog::new(&relations, Vec::new());
        assert_eq!(catalog.schema_names(), ["ledger", "documents", "metrics", "baselines", "search", "log", "system"]);
        let path = catalog.schema("$path:search,ledger").unwrap();
        assert!(path.table_exist("alerts") && path.table_exist("transactions") && !path.table_exist("freshness"));
        assert!(catalog.schema("nothing").is_none());
        let described = described(&relations);
        let amount = described[0].columns.iter().find(|column| column.name == "amount").unwrap();
        assert_eq!((amount.data_type.as_str(), amount.nullable), ("decimal(15,2)", false));
    }
}
