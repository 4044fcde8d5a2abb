//! Functions that PostgreSQL's clients call.
//!
//! What must stay true: none reads anything but what there is here; what is said of rights is what is true: everything may be read, nothing written; what there is
//! none of is NULL.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility};
use datafusion_pg_catalog::pg_catalog::{array_bounds_udf, format_type, quote_ident_udf};

use super::oids::Oids;
use super::{OWNER, OWNER_OID, formatted, names};
use crate::catalog::{CATALOG, DEFAULT_SCHEMA};

/// What [`super::rewrite`] puts in the place of `pg_table_is_visible(oid)`: the same with the session's path.
pub(super) const IS_VISIBLE: &str = "wardhouse_is_visible";
/// What it puts in the place of `oid::regclass::text`.
pub(super) const RELATION_NAME: &str = "wardhouse_relation_name";
/// What it puts in the place of `to_regclass(name)`: the same with the session's path.
pub(super) const RELATION_NUMBER: &str = "wardhouse_relation_number";
/// What [`super::procedures`] puts in the place of a function that is compared with a number.
pub(super) const FUNCTION_NUMBER: &str = "to_regproc";
/// What it puts in the place of `oid::regnamespace::text`.
pub(super) const SCHEMA_NAME: &str = "wardhouse_schema_name";

/// What there is none of.
const TEXT_NULL: [&str; 20] = [
    "current_setting",
    "inet_client_addr",
    "inet_server_addr",
    "pg_advisory_unlock_all",
    "pg_get_constraintdef",
    "pg_get_expr",
    "pg_get_function_arguments",
    "pg_get_function_identity_arguments",
    "pg_get_function_result",
    "pg_get_function_sqlbody",
    "pg_get_functiondef",
    "pg_get_indexdef",
    "pg_get_partkeydef",
    "pg_get_ruledef",
    "pg_get_serial_sequence",
    "pg_get_statisticsobjdef_columns",
    "pg_get_triggerdef",
    "pg_get_viewdef",
    "pg_tablespace_location",
    "shobj_description",
];
const FALSE: [&str; 5] = ["pg_has_role", "pg_is_in_recovery", "pg_is_other_temp_schema", "pg_relation_is_publishable", "row_security_active"];
const TRUE: [&str; 12] = [
    "pg_collation_is_visible",
    "pg_conversion_is_visible",
    "pg_function_is_visible",
    "pg_opclass_is_visible",
    "pg_operator_is_visible",
    "pg_opfamily_is_visible",
    "pg_statistics_obj_is_visible",
    "pg_ts_config_is_visible",
    "pg_ts_dict_is_visible",
    "pg_ts_parser_is_visible",
    "pg_ts_template_is_visible",
    "pg_type_is_visible",
];
/// Sizes and counts: what the stores hold is told by `system.stores`.
const ZERO: [&str; 8] =
    ["pg_database_size", "pg_indexes_size", "pg_my_temp_schema", "pg_relation_size", "pg_stat_get_numscans", "pg_table_size", "pg_tablespace_size", "pg_total_relation_size"];
const PRIVILEGES: [&str; 11] = [
    "has_any_column_privilege",
    "has_column_privilege",
    "has_database_privilege",
    "has_foreign_data_wrapper_privilege",
    "has_function_privilege",
    "has_language_privilege",
    "has_schema_privilege",
    "has_sequence_privilege",
    "has_server_privilege",
    "has_table_privilege",
    "has_tablespace_privilege",
];

/// Every function.
pub(super) fn all(oids: &Arc<Oids>) -> Vec<Arc<ScalarUDF>> {
    let text = |value: &str| ScalarValue::Utf8(Some(value.to_owned()));
    let mut functions: Vec<ScalarUDF> = Vec::new();
    functions.extend(TEXT_NULL.map(|name| fixed(name, ScalarValue::Utf8(None))));
    functions.extend(FALSE.map(|name| fixed(name, ScalarValue::Boolean(Some(false)))));
    functions.extend(TRUE.map(|name| fixed(name, ScalarValue::Boolean(Some(true)))));
    functions.extend(ZERO.map(|name| fixed(name, ScalarValue::Int64(Some(0)))));
    functions.extend(PRIVILEGES.map(|name| of_rows(name, Kind::Privilege, oids)));
    functions.extend([
        fixed("version", text(concat!("PostgreSQL 16.6 (Wardhouse ", env!("CARGO_PKG_VERSION"), ")"))),
        fixed("current_database", text(CATALOG)),
        // Where a rule of the library asks for it; what a statement asks is answered before by the session's path.
        fixed("current_schema", text(DEFAULT_SCHEMA)),
        fixed("pg_get_userbyid", text(OWNER)),
        fixed("pg_client_encoding", text("UTF8")),
        fixed("pg_encoding_to_char", text("UTF8")),
        fixed("getdatabaseencoding", text("UTF8")),
        fixed("pg_char_to_encoding", ScalarValue::Int32(Some(6))),
        fixed("pg_encoding_max_length", ScalarValue::Int32(Some(4))),
        of_rows("obj_description", Kind::Description, oids),
        of_rows("col_description", Kind::ColumnDescription, oids),
        of_rows("pg_size_pretty", Kind::Size, oids),
        of_rows(IS_VISIBLE, Kind::Visible, oids),
        of_rows(RELATION_NAME, Kind::RelationName, oids),
        of_rows(SCHEMA_NAME, Kind::SchemaName, oids),
        of_rows(RELATION_NUMBER, Kind::RelationNumber, oids),
        of_rows("to_regclass", Kind::RelationNumber, oids),
        of_rows(FUNCTION_NUMBER, Kind::FunctionNumber, oids),
        of_rows("to_regprocedure", Kind::FunctionNumber, oids),
        of_rows("to_regtype", Kind::TypeNumber, oids),
        of_rows("to_regnamespace", Kind::SchemaNumber, oids),
        of_rows("to_regrole", Kind::RoleNumber, oids),
        format_type::create_format_type_udf(),
        quote_ident_udf::create_quote_ident_udf(),
        quote_ident_udf::create_parse_ident_udf(),
        array_bounds_udf::create_array_upper_udf(),
        array_bounds_udf::create_array_lower_udf(),
    ]);
    functions.extend(formatted::all());
    functions.into_iter().map(Arc::new).collect()
}

fn any_arguments() -> Signature {
    Signature::one_of(vec![TypeSignature::Nullary, TypeSignature::VariadicAny], Volatility::Stable)
}

fn fixed(name: &str, value: ScalarValue) -> ScalarUDF {
    ScalarUDF::new_from_impl(Fixed { name: name.to_owned(), signature: any_arguments(), value })
}

/// A function that gives one value, whatever it is called with.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Fixed {
    name: String,
    signature: Signature,
    value: ScalarValue,
}

impl ScalarUDFImpl for Fixed {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

/// What a function computes of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// Whether a right is had, by its name, which comes last.
    Privilege,
    /// The description of a relation or schema.
    Description,
    /// The description of a column.
    ColumnDescription,
    /// Bytes as people read them.
    Size,
    /// Whether a relation is found in a path.
    Visible,
    /// The name of a relation.
    RelationName,
    /// The name of a schema.
    SchemaName,
    /// The number of what a text names, looked for in a path where that comes last; NULL where there is none.
    RelationNumber,
    TypeNumber,
    SchemaNumber,
    RoleNumber,
    FunctionNumber,
}

fn of_rows(name: &str, kind: Kind, oids: &Arc<Oids>) -> ScalarUDF {
    ScalarUDF::new_from_impl(OfRows { name: name.to_owned(), signature: any_arguments(), kind, oids: Same(Arc::clone(oids)) })
}

/// The numbers, which are one and the same for all functions of an engine.
#[derive(Clone, Debug)]
struct Same(Arc<Oids>);

impl PartialEq for Same {
    fn eq(&self, other: &Same) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Same {}

impl std::hash::Hash for Same {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfRows {
    name: String,
    signature: Signature,
    kind: Kind,
    oids: Same,
}

impl ScalarUDFImpl for OfRows {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Privilege | Kind::Visible => DataType::Boolean,
            Kind::RelationNumber | Kind::TypeNumber | Kind::SchemaNumber | Kind::RoleNumber | Kind::FunctionNumber => DataType::Int32,
            _ => DataType::Utf8,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = args.args.iter().map(|argument| argument.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let (Some(first), Some(last)) = (arguments.first(), arguments.last()) else { return Ok(ColumnarValue::Scalar(ScalarValue::try_new_null(args.return_type())?)) };
        let oids = &self.oids.0;
        let array: ArrayRef = match self.kind {
            Kind::Privilege => Arc::new(texts(last)?.iter().map(|right| right.map(may)).collect::<BooleanArray>()),
            Kind::Size => Arc::new(cast(first, &DataType::Int64)?.as_primitive::<Int64Type>().iter().map(|bytes| bytes.map(pretty)).collect::<StringArray>()),
            Kind::Visible => {
                let paths = texts(last)?;
                let visible = |(oid, path): (Option<i32>, Option<&str>)| Some(oids.is_visible(oid?, &names::path(path?)));
                Arc::new(numbers(first)?.as_primitive::<Int32Type>().iter().zip(paths.iter()).map(visible).collect::<BooleanArray>())
            }
            Kind::Description => each(first, |oid| oids.of(oid).map(|relation| relation.description.clone()))?,
            Kind::ColumnDescription => {
                let (relations, places) = (numbers(first)?, numbers(last)?);
                let meaning = |(oid, place): (Option<i32>, Option<i32>)| *oids.of(oid?)?.columns.get(usize::try_from(place?.checked_sub(1)?).ok()?)?;
                Arc::new(relations.as_primitive::<Int32Type>().iter().zip(places.as_primitive::<Int32Type>()).map(meaning).collect::<StringArray>())
            }
            Kind::RelationName => each(first, |oid| oids.shown(oid, &[DEFAULT_SCHEMA.to_owned()]))?,
            Kind::RelationNumber => {
                let paths = texts(last)?;
                let alone = arguments.len() < 2;
                let path = |row: usize| if alone || paths.is_null(row) { vec![DEFAULT_SCHEMA.to_owned()] } else { names::path(paths.value(row)) };
                let found = texts(first)?.iter().enumerate().map(|(row, name)| oids.relation_named(name?, &path(row))).collect::<Int32Array>();
                Arc::new(found)
            }
            Kind::TypeNumber => Arc::new(texts(first)?.iter().map(|name| oids.type_named(name?)).collect::<Int32Array>()),
            Kind::FunctionNumber => Arc::new(texts(first)?.iter().map(|name| oids.function_named(name?)).collect::<Int32Array>()),
            Kind::SchemaNumber => Arc::new(texts(first)?.iter().map(|name| oids.schema_named(name?)).collect::<Int32Array>()),
            Kind::RoleNumber => Arc::new(texts(first)?.iter().map(|name| (names::parts(name?)? == [OWNER]).then_some(OWNER_OID)).collect::<Int32Array>()),
            Kind::SchemaName => each(first, |oid| oids.schemas().iter().find(|(_, known)| *known == oid).map(|(name, _)| names::quoted(name)))?,
        };
        Ok(ColumnarValue::Array(array))
    }
}

/// Numbers of whatever type, and what cannot be one as NULL.
fn numbers(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast(array, &DataType::Int32)?)
}

fn texts(array: &ArrayRef) -> Result<StringArray> {
    Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn each(array: &ArrayRef, of: impl Fn(i32) -> Option<String>) -> Result<ArrayRef> {
    Ok(Arc::new(numbers(array)?.as_primitive::<Int32Type>().iter().map(|oid| oid.and_then(&of)).collect::<StringArray>()))
}

/// Whether all rights in a list are had.
fn may(rights: &str) -> bool {
    rights.split(',').all(|right| ["SELECT", "USAGE", "CONNECT", "EXECUTE"].contains(&right.trim().to_ascii_uppercase().as_str()))
}

/// `pg_size_pretty` in PostgreSQL's src/backend/utils/adt/dbsize.c: the first unit of which there are fewer than 10,240, rounded.
fn pretty(bytes: i64) -> String {
    let mut size = bytes;
    for unit in ["bytes", "kB", "MB", "GB", "TB"] {
        if size.unsigned_abs() < 10_240 {
            return format!("{size} {unit}");
        }
        size = (size + 512 * size.signum()) / 1_024;
    }
    format!("{size} PB")
}
