//! `information_schema`, as the SQL standard and PostgreSQL have it.
//!
//! What must stay true: types are named as PostgreSQL names them, by which clients tell a column of times from one of numbers; what DataFusion tells of its
//! own functions and settings stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::information_schema::InformationSchemaProvider;
use datafusion::catalog::{MemoryCatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::Result;
use wh_schemas::arrow::SCORE_COLUMN;

use super::tables::{Row, nothing, number, table, text};
use super::{INFORMATION_SCHEMA, OWNER, PG_CATALOG, types};
use crate::catalog::CATALOG;
use crate::table::Relation;

/// What DataFusion tells that no relation has a part in.
const ENGINE: [&str; 3] = ["df_settings", "routines", "parameters"];

/// The schema.
pub(super) fn schema(relations: &[Arc<Relation>]) -> Result<Arc<dyn SchemaProvider>> {
    let mut own: BTreeMap<&'static str, Arc<dyn TableProvider>> = BTreeMap::new();
    own.insert("schemata", table(texts(&["catalog_name", "schema_name", "schema_owner"], &[]), &schemata(relations))?);
    own.insert("tables", table(texts(&["table_catalog", "table_schema", "table_name", "table_type", "is_insertable_into"], &[]), &tables(relations))?);
    let view = ["table_catalog", "table_schema", "table_name", "view_definition", "check_option", "is_updatable"];
    own.insert("views", table(texts(&view, &[]), &views(relations))?);
    own.insert("columns", table(columns_shape(), &columns(relations))?);
    own.insert(
        "key_column_usage",
        nothing(&["constraint_catalog", "constraint_schema", "constraint_name", "table_catalog", "table_schema", "table_name", "column_name", "ordinal_position"])?,
    );
    own.insert("table_constraints", nothing(&["constraint_catalog", "constraint_schema", "constraint_name", "table_catalog", "table_schema", "table_name", "constraint_type"])?);
    own.insert(
        "referential_constraints",
        nothing(&["constraint_catalog", "constraint_schema", "constraint_name", "unique_constraint_catalog", "unique_constraint_schema", "unique_constraint_name"])?,
    );
    own.insert("constraint_column_usage", nothing(&["table_catalog", "table_schema", "table_name", "column_name", "constraint_catalog", "constraint_schema", "constraint_name"])?);
    own.insert("sequences", nothing(&["sequence_catalog", "sequence_schema", "sequence_name", "data_type"])?);
    own.insert("triggers", nothing(&["trigger_catalog", "trigger_schema", "trigger_name", "event_object_schema", "event_object_table"])?);
    let engine = InformationSchemaProvider::new(Arc::new(MemoryCatalogProviderList::new()));
    Ok(Arc::new(InformationSchema { own, engine }))
}

#[derive(Debug)]
struct InformationSchema {
    own: BTreeMap<&'static str, Arc<dyn TableProvider>>,
    engine: InformationSchemaProvider,
}

#[async_trait]
impl SchemaProvider for InformationSchema {
    fn table_names(&self) -> Vec<String> {
        self.own.keys().chain(&ENGINE).map(|name| (*name).to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.own.get(name) {
            Some(table) => Ok(Some(Arc::clone(table))),
            None if ENGINE.contains(&name) => self.engine.table(name).await,
            None => Ok(None),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.own.contains_key(name) || ENGINE.contains(&name)
    }
}

fn texts(names: &[&str], numbers: &[&str]) -> SchemaRef {
    let field = |name: &&str| Field::new(*name, if numbers.contains(name) { DataType::Int32 } else { DataType::Utf8 }, true);
    Arc::new(Schema::new(names.iter().map(field).collect::<Vec<_>>()))
}

fn schemata(relations: &[Arc<Relation>]) -> Vec<Row> {
    let mut names = vec![PG_CATALOG, INFORMATION_SCHEMA];
    for relation in relations {
        if !names.contains(&relation.schema_name) {
            names.push(relation.schema_name);
        }
    }
    names.into_iter().map(|name| vec![("catalog_name", text(CATALOG)), ("schema_name", text(name)), ("schema_owner", text(OWNER))]).collect()
}

fn named(relation: &Relation) -> Row {
    vec![("table_catalog", text(CATALOG)), ("table_schema", text(relation.schema_name)), ("table_name", text(&relation.name))]
}

fn tables(relations: &[Arc<Relation>]) -> Vec<Row> {
    let row = |relation: &Arc<Relation>| {
        let kind = if relation.is_view { "VIEW" } else { "BASE TABLE" };
        [named(relation), vec![("table_type", text(kind)), ("is_insertable_into", text("NO"))]].concat()
    };
    relations.iter().map(row).collect()
}

fn views(relations: &[Arc<Relation>]) -> Vec<Row> {
    let row = |relation: &Arc<Relation>| [named(relation), vec![("check_option", text("NONE")), ("is_updatable", text("NO"))]].concat();
    relations.iter().filter(|relation| relation.is_view).map(row).collect()
}

fn columns_shape() -> SchemaRef {
    let names = [
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "ordinal_position",
        "column_default",
        "is_nullable",
        "data_type",
        "character_maximum_length",
        "character_octet_length",
        "numeric_precision",
        "numeric_precision_radix",
        "numeric_scale",
        "datetime_precision",
        "interval_type",
        "character_set_name",
        "collation_name",
        "domain_name",
        "udt_catalog",
        "udt_schema",
        "udt_name",
        "is_self_referencing",
        "is_identity",
        "identity_generation",
        "is_generated",
        "generation_expression",
        "is_updatable",
    ];
    let numbers = ["ordinal_position", "character_maximum_length", "character_octet_length", "numeric_precision", "numeric_precision_radix", "numeric_scale", "datetime_precision"];
    texts(&names, &numbers)
}

fn columns(relations: &[Arc<Relation>]) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in relations {
        let schema = relation.scan.schema();
        let told = schema.fields().iter().filter(|field| field.name() != SCORE_COLUMN);
        rows.extend(told.zip(1_i32..).map(|(field, place)| column(relation, field, place)));
    }
    rows
}

fn column(relation: &Relation, field: &Field, place: i32) -> Row {
    let pg_type = types::of(field.data_type());
    let mut row = named(relation);
    row.extend([
        ("column_name", text(field.name())),
        ("ordinal_position", number(place)),
        ("is_nullable", text(if field.is_nullable() { "YES" } else { "NO" })),
        ("data_type", text(pg_type.sql)),
        ("udt_catalog", text(CATALOG)),
        ("udt_schema", text(PG_CATALOG)),
        ("udt_name", text(pg_type.name)),
        ("is_self_referencing", text("NO")),
        ("is_identity", text("NO")),
        ("is_generated", text("NEVER")),
        ("is_updatable", text("NO")),
    ]);
    let (precision, radix, scale) = match field.data_type() {
        DataType::Decimal128(precision, scale) => (Some(i32::from(*precision)), 10, Some(i32::from(*scale))),
        DataType::Int16 => (Some(16), 2, Some(0)),
        DataType::Int32 => (Some(32), 2, Some(0)),
        DataType::Int64 => (Some(64), 2, Some(0)),
        DataType::Float32 => (Some(24), 2, None),
        DataType::Float64 => (Some(53), 2, None),
        _ => (None, 10, None),
    };
    if let Some(precision) = precision {
        row.extend([("numeric_precision", number(precision)), ("numeric_precision_radix", number(radix))]);
    }
    if let Some(scale) = scale {
        row.push(("numeric_scale", number(scale)));
    }
    if matches!(field.data_type(), DataType::Timestamp(_, _) | DataType::Time64(_)) {
        row.push(("datetime_precision", number(6)));
    }
    row
}
