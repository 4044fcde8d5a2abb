//! `pg_catalog`: PostgreSQL's own description from datafusion-pg-catalog, ours from the relations.
//!
//! What must stay true: what PostgreSQL would tell of constraints, indexes and whatever else there is none of here is empty ([`super::empty`]), even
//! where the description that was shipped has rows about PostgreSQL's own.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::TableType;
use datafusion_pg_catalog::pg_catalog::catalog_info::CatalogInfo;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::{PG_CATALOG_TABLES, PgCatalogSchemaProvider, PgCatalogStaticTables};
use wh_schemas::arrow::SCORE_COLUMN;

use super::oids::{Oids, PG_CLASS, PG_NAMESPACE};
use super::tables::{Row, flag, listed, nothing, number, plain, table, text, with_lists};
use super::{OWNER, OWNER_OID, PG_CATALOG, Setting, empty, types};
use crate::catalog::CATALOG;
use crate::table::Relation;

/// What datafusion-pg-catalog ships, read once a process.
static FIXED: LazyLock<Result<Arc<PgCatalogStaticTables>, String>> = LazyLock::new(|| PgCatalogStaticTables::try_new().map(Arc::new).map_err(|error| error.to_string()));

/// What datafusion-pg-catalog ships.
pub(super) fn fixed() -> Result<Arc<PgCatalogStaticTables>> {
    FIXED.clone().map_err(DataFusionError::Internal)
}

/// Of our relations nothing is asked of datafusion-pg-catalog.
#[derive(Clone, Debug)]
struct Nothing;

#[async_trait]
impl CatalogInfo for Nothing {
    async fn catalog_names(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn schema_names(&self, _catalog: &str) -> Result<Option<Vec<String>>> {
        Ok(None)
    }

    async fn table_names(&self, _catalog: &str, _schema: &str) -> Result<Option<Vec<String>>> {
        Ok(None)
    }

    async fn table_schema(&self, _catalog: &str, _schema: &str, _table: &str) -> Result<Option<SchemaRef>> {
        Ok(None)
    }

    async fn table_type(&self, _catalog: &str, _schema: &str, _table: &str) -> Result<Option<TableType>> {
        Ok(None)
    }
}

type Shipped = PgCatalogSchemaProvider<Nothing, EmptyContextProvider>;

/// The schema and the names of its tables.
pub(super) fn pg_catalog(relations: &[Arc<Relation>], oids: &Oids, settings: &[Setting], fixed: &Arc<PgCatalogStaticTables>) -> Result<(Arc<dyn SchemaProvider>, Vec<String>)> {
    let shipped = PgCatalogSchemaProvider::try_new(Nothing, Arc::clone(fixed), EmptyContextProvider)?;
    let mut own: BTreeMap<&'static str, Arc<dyn TableProvider>> = BTreeMap::new();
    for name in empty::TABLES {
        own.insert(name, table(shape(&shipped, name)?, &[])?);
    }
    let (classes, attributes) = relation_rows(relations, oids, &shipped)?;
    for (name, rows) in [
        ("pg_namespace", namespaces(oids)),
        ("pg_class", classes),
        ("pg_attribute", attributes),
        ("pg_description", descriptions(oids)),
        ("pg_database", database()),
        ("pg_roles", roles()),
        ("pg_authid", vec![vec![("oid", number(OWNER_OID)), ("rolname", text(OWNER)), ("rolinherit", flag(true)), ("rolconnlimit", number(-1))]]),
        ("pg_tables", named(relations, false)),
        ("pg_views", named(relations, true)),
        ("pg_settings", settings.iter().map(setting).collect()),
    ] {
        own.insert(name, table(shape(&shipped, name)?, &rows)?);
    }
    for (name, shipped) in [("pg_type", &fixed.pg_type), ("pg_proc", &fixed.pg_proc), ("pg_language", &fixed.pg_language), ("pg_tablespace", &fixed.pg_tablespace)] {
        own.insert(name, with_lists(shipped)?);
    }
    own.insert("pg_cursors", nothing(&["name", "statement", "is_holdable", "is_binary", "is_scrollable", "creation_time"])?);
    own.insert("pg_parameter_acl", nothing(&["oid", "parname", "paracl"])?);
    own.insert("pg_user_mappings", nothing(&["umid", "srvid", "srvname", "umuser", "usename", "umoptions"])?);
    own.insert("pg_indexes", nothing(&["schemaname", "tablename", "indexname", "tablespace", "indexdef"])?);
    own.insert("pg_sequences", nothing(&["schemaname", "sequencename", "sequenceowner", "data_type", "start_value", "last_value"])?);
    own.insert("pg_user", nothing(&["usename", "usesysid", "usecreatedb", "usesuper", "userepl", "usebypassrls", "passwd", "valuntil", "useconfig"])?);
    let mut names: Vec<String> = PG_CATALOG_TABLES.iter().chain(own.keys()).map(|name| (*name).to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    Ok((Arc::new(PgCatalogSchema { own, shipped, names: names.clone() }), names))
}

/// The columns that datafusion-pg-catalog gives a table, which its rules expect.
fn shape(shipped: &Shipped, name: &str) -> Result<SchemaRef> {
    let built = shipped.build_table_by_name(name)?;
    let schema = built.map(|table| table.schema()).ok_or_else(|| DataFusionError::Internal(format!("there is no table {name} in pg_catalog")))?;
    let schema = listed(&schema);
    let more = MORE.iter().filter(|(table, column)| *table == name && schema.column_with_name(column).is_none()).map(|(_, column)| Arc::new(plain(column)));
    let fields: Vec<_> = schema.fields().iter().cloned().chain(more).collect();
    Ok(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

/// Columns that PostgreSQL's tables have, and datafusion-pg-catalog's have not.
static MORE: [(&str, &str); 6] = [
    ("pg_class", "relacl"),
    ("pg_class", "reloptions"),
    ("pg_attribute", "attacl"),
    ("pg_attribute", "attoptions"),
    ("pg_attribute", "attfdwoptions"),
    ("pg_settings", "boot_val"),
];

#[derive(Debug)]
struct PgCatalogSchema {
    own: BTreeMap<&'static str, Arc<dyn TableProvider>>,
    shipped: Shipped,
    names: Vec<String>,
}

#[async_trait]
impl SchemaProvider for PgCatalogSchema {
    fn table_names(&self) -> Vec<String> {
        self.names.clone()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.own.get(name) {
            Some(table) => Ok(Some(Arc::clone(table))),
            None => self.shipped.build_table_by_name(name)?.map(|table| table.try_into_table_provider()).transpose(),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }
}

fn namespaces(oids: &Oids) -> Vec<Row> {
    oids.schemas().iter().map(|(name, oid)| vec![("oid", number(*oid)), ("nspname", text(name)), ("nspowner", number(OWNER_OID))]).collect()
}

/// Of each relation a row of `pg_class`, and its columns' of `pg_attribute`; of PostgreSQL's own those that there are.
fn relation_rows(relations: &[Arc<Relation>], oids: &Oids, shipped: &Shipped) -> Result<(Vec<Row>, Vec<Row>)> {
    let (mut classes, mut attributes) = (Vec::new(), Vec::new());
    let mut add = |oid: i32, name: &str, schema: &str, is_view: bool, columns: &SchemaRef| {
        classes.push(class(oid, name, oids.schema(schema).unwrap_or_default(), is_view, columns));
        let told = columns.fields().iter().filter(|field| field.name() != SCORE_COLUMN);
        attributes.extend(told.zip(1_i32..).map(|(field, place)| {
            let pg_type = types::of(field.data_type());
            let is_array = pg_type.sql == "ARRAY";
            vec![
                ("attrelid", number(oid)),
                ("attname", text(field.name())),
                ("atttypid", number(pg_type.oid)),
                ("attstattarget", number(-1)),
                ("attlen", number(pg_type.length)),
                ("attnum", number(place)),
                ("attndims", number(i32::from(is_array))),
                ("attcacheoff", number(-1)),
                ("atttypmod", number(pg_type.modifier)),
                ("attbyval", flag(matches!(pg_type.length, 1 | 2 | 4 | 8))),
                ("attalign", text(pg_type.alignment)),
                ("attstorage", text(pg_type.storage)),
                ("attnotnull", flag(!field.is_nullable())),
                ("attislocal", flag(true)),
                // The database's own collation, for text.
                ("attcollation", number(if matches!(pg_type.oid, 25 | 1009) { 100 } else { 0 })),
            ]
        }));
    };
    for (numbered, relation) in oids.ours().iter().zip(relations) {
        add(numbered.oid, &numbered.name, &numbered.schema, relation.is_view, &relation.scan.schema());
    }
    for name in PG_CATALOG_TABLES {
        if let Some(oid) = oids.system(name) {
            let is_view = ["pg_roles", "pg_settings", "pg_tables", "pg_views", "pg_matviews"].contains(name) || name.starts_with("pg_stat_");
            add(oid, name, PG_CATALOG, is_view, &shape(shipped, name)?);
        }
    }
    Ok((classes, attributes))
}

fn class(oid: i32, name: &str, schema: i32, is_view: bool, columns: &SchemaRef) -> Row {
    vec![
        ("oid", number(oid)),
        ("relname", text(name)),
        ("relnamespace", number(schema)),
        ("relowner", number(OWNER_OID)),
        ("relam", number(if is_view { 0 } else { 2 })),
        ("relfilenode", number(oid)),
        // Unknown, as of a table that was never analyzed.
        ("reltuples", number(-1)),
        ("relpersistence", text("p")),
        ("relkind", text(if is_view { "v" } else { "r" })),
        ("relnatts", number(i64::try_from(columns.fields().len()).unwrap_or_default())),
        ("relispopulated", flag(true)),
        ("relreplident", text("n")),
    ]
}

fn descriptions(oids: &Oids) -> Vec<Row> {
    let row = |oid: i32, class: i32, description: &str| vec![("objoid", number(oid)), ("classoid", number(class)), ("objsubid", number(0)), ("description", text(description))];
    let ours = oids.ours().iter().map(|relation| row(relation.oid, PG_CLASS, &relation.description));
    let standard = oids.schema(PG_CATALOG).map(|oid| row(oid, PG_NAMESPACE, "what PostgreSQL's clients ask of a server"));
    ours.chain(standard).collect()
}

fn roles() -> Vec<Row> {
    let never = ["rolsuper", "rolcreaterole", "rolcreatedb", "rolcanlogin", "rolreplication", "rolbypassrls"].map(|name| (name, flag(false)));
    let known = [("oid", number(OWNER_OID)), ("rolname", text(OWNER)), ("rolinherit", flag(true)), ("rolconnlimit", number(-1))];
    vec![known.into_iter().chain(never).collect()]
}

fn database() -> Vec<Row> {
    vec![vec![
        ("oid", number(5)),
        ("datname", text(CATALOG)),
        ("datdba", number(OWNER_OID)),
        // UTF8
        ("encoding", number(6)),
        ("datlocprovider", text("c")),
        ("datcollate", text("C")),
        ("datctype", text("C")),
        ("datallowconn", flag(true)),
        ("datconnlimit", number(-1)),
        ("dattablespace", number(1_663)),
    ]]
}

fn named(relations: &[Arc<Relation>], views: bool) -> Vec<Row> {
    let row = |relation: &Arc<Relation>| {
        let (name, owner) = if views { ("viewname", "viewowner") } else { ("tablename", "tableowner") };
        vec![("schemaname", text(relation.schema_name)), (name, text(&relation.name)), (owner, text(OWNER))]
    };
    relations.iter().filter(|relation| relation.is_view == views).map(row).collect()
}

fn setting((name, value, description): &Setting) -> Row {
    vec![
        ("name", text(*name)),
        ("setting", text(value)),
        ("short_desc", text(*description)),
        ("category", text("Wardhouse")),
        ("context", text("user")),
        ("vartype", text("string")),
        ("source", text("default")),
        ("boot_val", text(value)),
        ("reset_val", text(value)),
        ("pending_restart", flag(false)),
    ]
}
