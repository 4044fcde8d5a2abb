//! The columns' types as PostgreSQL's catalog tells of them.
//!
//! What must stay true: these are the types in which the PostgreSQL server sends the columns.

use arrow::datatypes::DataType;

/// A type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PgType {
    /// `pg_type.oid`
    pub(super) oid: i32,
    /// `pg_type.typname`
    pub(super) name: &'static str,
    /// As the SQL standard calls it.
    pub(super) sql: &'static str,
    /// Bytes of a value, −1 where they differ.
    pub(super) length: i16,
    /// `pg_type.typalign`
    pub(super) alignment: &'static str,
    /// `pg_type.typstorage`
    pub(super) storage: &'static str,
    /// Precision and scale, packed; −1 for none.
    pub(super) modifier: i32,
}

const fn fixed(oid: i32, name: &'static str, sql: &'static str, length: i16, alignment: &'static str) -> PgType {
    PgType { oid, name, sql, length, alignment, storage: "p", modifier: -1 }
}

const fn varying(oid: i32, name: &'static str, sql: &'static str) -> PgType {
    PgType { oid, name, sql, length: -1, alignment: "i", storage: "x", modifier: -1 }
}

/// The type of a column.
pub(super) fn of(data_type: &DataType) -> PgType {
    match data_type {
        DataType::Boolean => fixed(16, "bool", "boolean", 1, "c"),
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => fixed(21, "int2", "smallint", 2, "s"),
        DataType::UInt16 | DataType::Int32 => fixed(23, "int4", "integer", 4, "i"),
        DataType::UInt32 | DataType::Int64 | DataType::UInt64 => fixed(20, "int8", "bigint", 8, "d"),
        DataType::Float16 | DataType::Float32 => fixed(700, "float4", "real", 4, "i"),
        DataType::Float64 => fixed(701, "float8", "double precision", 8, "d"),
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            PgType { modifier: ((i32::from(*precision) << 16) | i32::from(*scale)) + 4, storage: "m", ..varying(1700, "numeric", "numeric") }
        }
        DataType::Date32 | DataType::Date64 => fixed(1082, "date", "date", 4, "i"),
        DataType::Time32(_) | DataType::Time64(_) => fixed(1083, "time", "time without time zone", 8, "d"),
        DataType::Timestamp(_, None) => fixed(1114, "timestamp", "timestamp without time zone", 8, "d"),
        DataType::Timestamp(_, Some(_)) => fixed(1184, "timestamptz", "timestamp with time zone", 8, "d"),
        DataType::Interval(_) | DataType::Duration(_) => fixed(1186, "interval", "interval", 16, "d"),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => varying(17, "bytea", "bytea"),
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => array_of(of(element.data_type())),
        _ => varying(25, "text", "text"),
    }
}

fn array_of(element: PgType) -> PgType {
    match element.oid {
        16 => varying(1000, "_bool", "ARRAY"),
        20 => varying(1016, "_int8", "ARRAY"),
        21 => varying(1005, "_int2", "ARRAY"),
        23 => varying(1007, "_int4", "ARRAY"),
        700 => varying(1021, "_float4", "ARRAY"),
        701 => varying(1022, "_float8", "ARRAY"),
        1082 => varying(1182, "_date", "ARRAY"),
        1114 => varying(1115, "_timestamp", "ARRAY"),
        1184 => varying(1185, "_timestamptz", "ARRAY"),
        1700 => varying(1231, "_numeric", "ARRAY"),
        _ => varying(1009, "_text", "ARRAY"),
    }
}
