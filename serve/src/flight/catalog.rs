//! What there is: catalogs, schemas, tables with their columns, keys, types.
//!
//! What must stay true: it is the engine's own list of tables, in the order that the protocol wants; what there is none of
//! (foreign keys) is an empty answer of the right shape, not an error.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::sql::{Command, CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTables};
use tonic::Status;
use wh_query::TableInfo;

use super::info;
use super::service::Service;
use super::sessions::FlightSession;
use super::statements::prepare;
use super::status::{internal, of_flight};

/// The one catalog.
pub(super) const CATALOG: &str = "wardhouse";
const TABLE: &str = "TABLE";
const VIEW: &str = "VIEW";

impl Service {
    /// The answer to a question about the catalog.
    pub(super) async fn catalog(&self, session: &FlightSession, command: Command) -> Result<RecordBatch, Status> {
        match command {
            Command::CommandGetCatalogs(request) => {
                let mut catalogs = request.into_builder();
                catalogs.append(CATALOG);
                catalogs.build().map_err(of_flight)
            }
            Command::CommandGetDbSchemas(request) => schemas(request, &self.engine.tables()),
            Command::CommandGetTables(request) => self.tables(session, request).await,
            Command::CommandGetTableTypes(request) => {
                let mut types = request.into_builder();
                types.append(TABLE);
                types.append(VIEW);
                types.build().map_err(of_flight)
            }
            Command::CommandGetPrimaryKeys(request) => primary_keys(&request, &self.engine.tables()),
            Command::CommandGetExportedKeys(_) | Command::CommandGetImportedKeys(_) | Command::CommandGetCrossReference(_) => Ok(RecordBatch::new_empty(foreign_keys())),
            Command::CommandGetSqlInfo(request) => request.into_builder(info::sql_info().map_err(of_flight)?).build().map_err(of_flight),
            Command::CommandGetXdbcTypeInfo(request) => request.into_builder(&info::types().map_err(of_flight)?).build().map_err(of_flight),
            Command::CommandStatementSubstraitPlan(_) => Err(Status::unimplemented("plans of Substrait are not run here: send SQL (SQLSTATE 0A000)")),
            other => Err(Status::invalid_argument(format!("{} has no rows", other.type_url()))),
        }
    }

    async fn tables(&self, session: &FlightSession, request: CommandGetTables) -> Result<RecordBatch, Status> {
        let with_columns = request.include_schema;
        let mut listed = request.into_builder();
        for table in self.engine.tables() {
            let columns = if with_columns { columns(session, &table).await? } else { Schema::empty() };
            listed.append(CATALOG, &table.schema, &table.name, kind(&table), &columns).map_err(of_flight)?;
        }
        listed.build().map_err(of_flight)
    }
}

fn kind(table: &TableInfo) -> &'static str {
    if table.is_view { VIEW } else { TABLE }
}

fn schemas(request: CommandGetDbSchemas, tables: &[TableInfo]) -> Result<RecordBatch, Status> {
    let names: BTreeSet<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    let mut listed = request.into_builder();
    for name in names {
        listed.append(CATALOG, name);
    }
    listed.build().map_err(of_flight)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The columns of a table, with what drivers want to know of each beside its Arrow type.
async fn columns(session: &FlightSession, table: &TableInfo) -> Result<Schema, Status> {
    let sql = format!("SELECT * FROM {}.{}", quoted(&table.schema), quoted(&table.name));
    let schema = prepare(session, &sql).await?.schema();
    let described = |field: &Arc<Field>| {
        let type_name = table.columns.iter().find(|column| column.name == *field.name()).map(|column| column.data_type.clone()).unwrap_or_default();
        Field::clone(field).with_metadata(column_metadata(table, field, type_name))
    };
    Ok(Schema::new(schema.fields().iter().map(described).collect::<Vec<_>>()))
}

/// `ColumnMetadata` of Flight SQL.
fn column_metadata(table: &TableInfo, field: &Field, type_name: String) -> HashMap<String, String> {
    let (precision, scale) = match field.data_type() {
        DataType::Decimal128(precision, scale) => (Some(i32::from(*precision)), Some(i32::from(*scale))),
        DataType::Int32 => (Some(10), Some(0)),
        DataType::Int64 => (Some(19), Some(0)),
        DataType::Float64 => (Some(15), None),
        DataType::Timestamp(..) => (Some(32), Some(6)),
        _ => (None, None),
    };
    let text = matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let told = [
        ("CATALOG_NAME", Some(CATALOG.to_owned())),
        ("SCHEMA_NAME", Some(table.schema.clone())),
        ("TABLE_NAME", Some(table.name.clone())),
        ("TYPE_NAME", Some(type_name)),
        ("PRECISION", precision.map(|number| number.to_string())),
        ("SCALE", scale.map(|number| number.to_string())),
        ("IS_AUTO_INCREMENT", Some("0".to_owned())),
        ("IS_CASE_SENSITIVE", Some(if text { "1" } else { "0" }.to_owned())),
        ("IS_READ_ONLY", Some("1".to_owned())),
        ("IS_SEARCHABLE", Some("1".to_owned())),
    ];
    told.into_iter().filter_map(|(name, value)| Some((format!("ARROW:FLIGHT:SQL:{name}"), value?))).collect()
}

/// Columns without a value twice, as keys of one column each. There is no other order among them than the table's.
fn primary_keys(request: &CommandGetPrimaryKeys, tables: &[TableInfo]) -> Result<RecordBatch, Status> {
    let here = request.catalog.as_deref().is_none_or(|catalog| catalog == CATALOG);
    let wanted = |table: &&TableInfo| here && table.name == request.table && request.db_schema.as_deref().is_none_or(|schema| schema == table.schema);
    let mut keys: Vec<(&str, &str, &str)> =
        tables.iter().filter(wanted).flat_map(|table| table.unique.iter().take(1).map(move |column| (table.schema.as_str(), table.name.as_str(), column.as_str()))).collect();
    keys.sort_unstable();
    let texts = |text: &dyn Fn(&(&str, &str, &str)) -> String| -> ArrayRef { Arc::new(StringArray::from(keys.iter().map(text).collect::<Vec<_>>())) };
    let columns = vec![
        texts(&|_| CATALOG.to_owned()),
        texts(&|(schema, _, _)| (*schema).to_owned()),
        texts(&|(_, table, _)| (*table).to_owned()),
        texts(&|(_, _, column)| (*column).to_owned()),
        texts(&|(_, table, _)| format!("{table}_pkey")),
        Arc::new(Int32Array::from(vec![1; keys.len()])),
    ];
    let fields = vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(internal)
}

/// The shape of exported, imported and crossing keys.
fn foreign_keys() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unique_column_is_the_key_of_its_table_alone() {
        let table = |schema: &str, name: &str, unique: &[&str]| TableInfo {
            schema: schema.into(),
            name: name.into(),
            columns: Vec::new(),
            description: String::new(),
            is_view: false,
            unique: unique.iter().map(|name| (*name).to_owned()).collect(),
        };
        let tables = [table("search", "alerts", &["alert_id"]), table("ledger", "alerts", &["id", "other"]), table("ledger", "plain", &[])];
        let keys = |schema: Option<&str>, name: &str| {
            let request = CommandGetPrimaryKeys { catalog: None, db_schema: schema.map(str::to_owned), table: name.into() };
            primary_keys(&request, &tables).unwrap().num_rows()
        };
        assert_eq!((keys(None, "alerts"), keys(Some("search"), "alerts"), keys(None, "plain"), keys(None, "none")), (2, 1, 0, 0));
    }

    #[test]
    fn names_are_quoted_as_sql_wants() {
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
