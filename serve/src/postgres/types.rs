//! Types of columns and parameters: Arrow's on one side, PostgreSQL's on the other.
//!
//! What must stay true: every Arrow type has a PostgreSQL type that holds its values exactly, or is sent as text; a value that a smaller type
//! cannot hold is an error, never another value.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, IntervalUnit, SchemaRef, TimeUnit};
use arrow_pg::datatypes::{PG_OID_ALIAS_KEY, is_pg_char_field, pg_type_for_alias_kind};
use pgwire::api::Type;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{FieldDescription, RowDescription};

use super::errors::{Failure, code};

/// Columns that a result may have, as in PostgreSQL.
const MOST_COLUMNS: usize = 1_664;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Binary,
}

impl Format {
    fn of(code: i16) -> Result<Format, Failure> {
        match code {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(Failure::new(code::PROTOCOL, format!("unsupported format code: {other}"))),
        }
    }

    /// The formats of `count` values: given one by one, once for all, or not at all.
    pub(super) fn each(codes: &[i16], count: usize) -> Result<Vec<Format>, Failure> {
        match codes {
            [] => Ok(vec![Format::Text; count]),
            [one] => Ok(vec![Format::of(*one)?; count]),
            many if many.len() == count => many.iter().map(|code| Format::of(*code)).collect(),
            many => Err(Failure::new(code::PROTOCOL, format!("{} format codes were sent for {count} values", many.len()))),
        }
    }

    pub(super) fn code(self) -> i16 {
        match self {
            Format::Text => 0,
            Format::Binary => 1,
        }
    }
}

/// One column of a result.
#[derive(Clone, Debug)]
pub(super) struct ColumnLayout {
    pub(super) name: String,
    pub(super) pg_type: Type,
    pub(super) format: Format,
    modifier: i32,
}

/// The columns of a result as a client gets them.
#[derive(Clone, Debug)]
pub(super) struct Layout(Arc<[ColumnLayout]>);

impl Layout {
    /// The columns of `schema` in the formats that were asked for.
    pub(super) fn new(schema: &SchemaRef, codes: &[i16]) -> Result<Layout, Failure> {
        let fields = schema.fields();
        if fields.len() > MOST_COLUMNS {
            return Err(Failure::new(code::TOO_MANY_COLUMNS, format!("a result can have at most {MOST_COLUMNS} columns")));
        }
        let formats = Format::each(codes, fields.len())?;
        let columns = fields.iter().zip(formats).map(|(field, format)| ColumnLayout {
            name: field.name().replace('\0', "\u{fffd}"),
            pg_type: of_field(field),
            format,
            modifier: modifier(field.data_type()),
        });
        Ok(Layout(columns.collect()))
    }

    pub(super) fn columns(&self) -> &[ColumnLayout] {
        &self.0
    }

    /// The same columns, all in one format.
    pub(super) fn all(&self, format: Format) -> Layout {
        Layout(self.0.iter().map(|column| ColumnLayout { format, ..column.clone() }).collect())
    }

    pub(super) fn description(&self) -> PgWireBackendMessage {
        let fields =
            self.0.iter().map(|column| FieldDescription::new(column.name.clone(), 0, 0, column.pg_type.oid(), size(&column.pg_type), column.modifier, column.format.code()));
        PgWireBackendMessage::RowDescription(RowDescription::new(fields.collect()))
    }
}

/// PostgreSQL's type of a column.
fn of_field(field: &Field) -> Type {
    // In PostgreSQL's own tables these columns are all `oid`; the alias says what they point to.
    let alias = field.metadata().get(PG_OID_ALIAS_KEY).and_then(|kind| pg_type_for_alias_kind(kind));
    if alias.is_some() && *field.data_type() == DataType::Int32 {
        return Type::OID;
    }
    if is_pg_char_field(field) && *field.data_type() == DataType::Utf8 {
        return Type::CHAR;
    }
    of_data_type(field.data_type())
}

/// PostgreSQL's type of an Arrow type; text for what it has none for.
pub(super) fn of_data_type(data_type: &DataType) -> Type {
    match data_type {
        DataType::Boolean => Type::BOOL,
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => Type::INT2,
        DataType::UInt16 | DataType::Int32 => Type::INT4,
        // Ranks and lengths are unsigned in DataFusion and bigint in PostgreSQL.
        DataType::UInt32 | DataType::Int64 | DataType::UInt64 => Type::INT8,
        DataType::Float16 | DataType::Float32 => Type::FLOAT4,
        DataType::Float64 => Type::FLOAT8,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => Type::NUMERIC,
        DataType::Date32 | DataType::Date64 => Type::DATE,
        DataType::Time32(_) | DataType::Time64(_) => Type::TIME,
        DataType::Timestamp(_, None) => Type::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => Type::TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => Type::INTERVAL,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Type::BYTEA,
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) | DataType::ListView(field) | DataType::LargeListView(field) => {
            array_of(&of_data_type(field.data_type()))
        }
        DataType::Dictionary(_, values) => of_data_type(values),
        DataType::RunEndEncoded(_, values) => of_data_type(values.data_type()),
        _ => Type::TEXT,
    }
}

/// The array type of an element type. An array of arrays is one of more dimensions, and has the type of one.
fn array_of(element: &Type) -> Type {
    match *element {
        Type::BOOL => Type::BOOL_ARRAY,
        Type::INT2 => Type::INT2_ARRAY,
        Type::INT4 => Type::INT4_ARRAY,
        Type::INT8 => Type::INT8_ARRAY,
        Type::FLOAT4 => Type::FLOAT4_ARRAY,
        Type::FLOAT8 => Type::FLOAT8_ARRAY,
        Type::NUMERIC => Type::NUMERIC_ARRAY,
        Type::DATE => Type::DATE_ARRAY,
        Type::TIME => Type::TIME_ARRAY,
        Type::TIMESTAMP => Type::TIMESTAMP_ARRAY,
        Type::TIMESTAMPTZ => Type::TIMESTAMPTZ_ARRAY,
        Type::INTERVAL => Type::INTERVAL_ARRAY,
        Type::BYTEA => Type::BYTEA_ARRAY,
        Type::TEXT => Type::TEXT_ARRAY,
        _ => element.clone(),
    }
}

/// The element type of an array type; any other type itself.
pub(super) fn element_of(array: &Type) -> Type {
    match *array {
        Type::BOOL_ARRAY => Type::BOOL,
        Type::INT2_ARRAY => Type::INT2,
        Type::INT4_ARRAY => Type::INT4,
        Type::INT8_ARRAY => Type::INT8,
        Type::OID_ARRAY => Type::OID,
        Type::FLOAT4_ARRAY => Type::FLOAT4,
        Type::FLOAT8_ARRAY => Type::FLOAT8,
        Type::NUMERIC_ARRAY => Type::NUMERIC,
        Type::DATE_ARRAY => Type::DATE,
        Type::TIME_ARRAY => Type::TIME,
        Type::TIMESTAMP_ARRAY => Type::TIMESTAMP,
        Type::TIMESTAMPTZ_ARRAY => Type::TIMESTAMPTZ,
        Type::INTERVAL_ARRAY => Type::INTERVAL,
        Type::BYTEA_ARRAY => Type::BYTEA,
        Type::TEXT_ARRAY => Type::TEXT,
        Type::VARCHAR_ARRAY => Type::VARCHAR,
        Type::BPCHAR_ARRAY => Type::BPCHAR,
        Type::NAME_ARRAY => Type::NAME,
        Type::UUID_ARRAY => Type::UUID,
        Type::JSON_ARRAY => Type::JSON,
        Type::JSONB_ARRAY => Type::JSONB,
        _ => array.clone(),
    }
}

/// What values of a PostgreSQL type are to the engine; `None` where the statement decides: a numeric has the precision of what it is compared with,
/// text without a type whatever type fits.
pub(super) fn engine_type(pg_type: &Type) -> Option<DataType> {
    let element = element_of(pg_type);
    if element != *pg_type {
        return engine_type(&element).map(|element| DataType::List(Arc::new(Field::new_list_field(element, true))));
    }
    match *pg_type {
        Type::BOOL => Some(DataType::Boolean),
        Type::INT2 => Some(DataType::Int16),
        Type::INT4 => Some(DataType::Int32),
        Type::INT8 | Type::OID => Some(DataType::Int64),
        Type::FLOAT4 => Some(DataType::Float32),
        Type::FLOAT8 => Some(DataType::Float64),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CHAR | Type::JSON | Type::JSONB | Type::UUID | Type::XML => Some(DataType::Utf8),
        Type::BYTEA => Some(DataType::Binary),
        Type::DATE => Some(DataType::Date32),
        Type::TIME => Some(DataType::Time64(TimeUnit::Microsecond)),
        Type::TIMESTAMP => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
        Type::TIMESTAMPTZ => Some(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        Type::INTERVAL => Some(DataType::Interval(IntervalUnit::MonthDayNano)),
        _ => None,
    }
}

/// Bytes of a value, −1 where they differ (`pg_type.typlen`).
fn size(pg_type: &Type) -> i16 {
    match *pg_type {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE | Type::OID => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => 8,
        Type::INTERVAL => 16,
        _ => -1,
    }
}

/// Precision and scale of a numeric as PostgreSQL packs them (`atttypmod`), −1 for none.
fn modifier(data_type: &DataType) -> i32 {
    match data_type {
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) | DataType::Decimal128(precision, scale) if *scale >= 0 => {
            ((i32::from(*precision) << 16) | i32::from(*scale)) + 4
        }
        _ => -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Schema;

    #[test]
    fn columns_are_described_as_postgresql_would() {
        let fields = vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("amount", DataType::Decimal128(15, 2), false),
            Field::new("rank", DataType::UInt64, true),
            Field::new("tags", DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))), true),
            Field::new("nothing", DataType::Null, true),
        ];
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let layout = Layout::new(&schema, &[0, 1, 1, 0, 0]).unwrap();
        let PgWireBackendMessage::RowDescription(described) = layout.description() else { panic!("no description") };
        let shown: Vec<_> = described.fields.iter().map(|field| (field.name.as_str(), field.type_id, field.type_size, field.type_modifier, field.format_code)).collect();
        let numeric = ((15 << 16) | 2) + 4;
        assert_eq!(shown, [("id", 25, -1, -1, 0), ("amount", 1700, -1, numeric, 1), ("rank", 20, 8, -1, 1), ("tags", 1009, -1, -1, 0), ("nothing", 25, -1, -1, 0)]);
        assert!(Layout::new(&schema, &[0, 1]).is_err());
        assert!(Layout::new(&schema, &[2]).is_err());
    }

    #[test]
    fn more_columns_than_postgresql_has_are_refused() {
        let schema: SchemaRef = Arc::new(Schema::new((0..=MOST_COLUMNS).map(|i| Field::new(format!("c{i}"), DataType::Int32, true)).collect::<Vec<_>>()));
        assert_eq!(Layout::new(&schema, &[]).unwrap_err().code, code::TOO_MANY_COLUMNS);
    }
}
