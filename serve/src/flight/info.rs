//! What this server can do, as GetSqlInfo and GetXdbcTypeInfo tell it.
//!
//! What must stay true: nothing is promised that is not kept; what there is no limit of is 0; made once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use arrow_flight::error::{FlightError, Result};
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, SqlInfo, XdbcDataType, XdbcDatetimeSubcode};

const NUMERIC: [&str; 26] = [
    "abs", "acos", "asin", "atan", "atan2", "cbrt", "ceil", "cos", "cot", "degrees", "exp", "floor", "gcd", "lcm", "ln", "log", "log10", "log2", "pi", "power", "radians", "round",
    "signum", "sin", "sqrt", "trunc",
];
const TEXT: [&str; 28] = [
    "ascii",
    "btrim",
    "char_length",
    "chr",
    "concat",
    "concat_ws",
    "ends_with",
    "initcap",
    "left",
    "length",
    "lower",
    "lpad",
    "ltrim",
    "md5",
    "octet_length",
    "regexp_like",
    "regexp_replace",
    "repeat",
    "replace",
    "reverse",
    "right",
    "rpad",
    "rtrim",
    "split_part",
    "starts_with",
    "strpos",
    "substr",
    "upper",
];
const DATE_AND_TIME: [&str; 10] = ["current_date", "current_time", "date_bin", "date_part", "date_trunc", "extract", "from_unixtime", "now", "to_char", "to_timestamp"];
const SYSTEM: [&str; 4] = ["coalesce", "nullif", "version", "arrow_typeof"];
/// Words that are none of SQL:2003.
const KEYWORDS: [&str; 7] = ["ANALYZE", "EXPLAIN", "ILIKE", "LIMIT", "OFFSET", "QUALIFY", "SHOW"];

/// What an info says.
#[derive(Clone, Copy)]
enum Value {
    Text(&'static str),
    Truth(bool),
    /// Of 64 bits: a length or a count, 0 for without a limit.
    Most(i64),
    /// Of 32 bits: a number of an enumeration, or bits.
    Number(i32),
    Words(&'static [&'static str]),
    /// Which types are converted into which: none.
    NoConversions,
}

/// Several numbered things as bits.
fn bits(numbers: &[u8]) -> Value {
    Value::Number(numbers.iter().fold(0, |bits, number| bits | 1 << number))
}

fn all() -> Vec<(SqlInfo, Value)> {
    use SqlInfo as I;
    let yes = || Value::Truth(true);
    let no = || Value::Truth(false);
    let number = Value::Number;
    let text = Value::Text;
    let words = Value::Words;
    let unlimited = || Value::Most(0);
    vec![
        (I::FlightSqlServerName, text("Wardhouse")),
        (I::FlightSqlServerVersion, text(env!("CARGO_PKG_VERSION"))),
        (I::FlightSqlServerArrowVersion, text("1.5")),
        (I::FlightSqlServerReadOnly, yes()),
        (I::FlightSqlServerSql, yes()),
        (I::FlightSqlServerSubstrait, no()),
        // SqlSupportedTransaction: none.
        (I::FlightSqlServerTransaction, number(0)),
        (I::FlightSqlServerCancel, yes()),
        (I::FlightSqlServerBulkIngestion, no()),
        (I::FlightSqlServerIngestTransactionsSupported, no()),
        // Of the server; a session's own is its setting statement_timeout.
        (I::FlightSqlServerStatementTimeout, number(0)),
        (I::FlightSqlServerTransactionTimeout, number(0)),
        (I::SqlDdlCatalog, no()),
        (I::SqlDdlSchema, no()),
        (I::SqlDdlTable, no()),
        // Folded to lower case.
        (I::SqlIdentifierCase, number(3)),
        (I::SqlIdentifierQuoteChar, text("\"")),
        // Kept as they are, for which there is no word here.
        (I::SqlQuotedIdentifierCase, number(0)),
        (I::SqlAllTablesAreSelectable, yes()),
        // NULL sorts as the highest value.
        (I::SqlNullOrdering, number(0)),
        (I::SqlKeywords, words(&KEYWORDS)),
        (I::SqlNumericFunctions, words(&NUMERIC)),
        (I::SqlStringFunctions, words(&TEXT)),
        (I::SqlSystemFunctions, words(&SYSTEM)),
        (I::SqlDatetimeFunctions, words(&DATE_AND_TIME)),
        (I::SqlSearchStringEscape, text("\\")),
        (I::SqlExtraNameCharacters, text("")),
        (I::SqlSupportsColumnAliasing, yes()),
        (I::SqlNullPlusNullIsNull, yes()),
        (I::SqlSupportsConvert, Value::NoConversions),
        (I::SqlSupportsTableCorrelationNames, yes()),
        (I::SqlSupportsDifferentTableCorrelationNames, no()),
        (I::SqlSupportsExpressionsInOrderBy, yes()),
        (I::SqlSupportsOrderByUnrelated, yes()),
        // Unrelated to, and beyond, what is selected.
        (I::SqlSupportedGroupBy, bits(&[0, 1])),
        (I::SqlSupportsLikeEscapeClause, no()),
        (I::SqlSupportsNonNullableColumns, yes()),
        // Of ODBC's grammars the least, and of ANSI's the entry level, as far as they read.
        (I::SqlSupportedGrammar, bits(&[0])),
        (I::SqlAnsi92SupportedLevel, bits(&[0])),
        (I::SqlSupportsIntegrityEnhancementFacility, no()),
        // Full outer joins.
        (I::SqlOuterJoinsSupportLevel, number(2)),
        (I::SqlSchemaTerm, text("schema")),
        (I::SqlProcedureTerm, text("")),
        (I::SqlCatalogTerm, text("catalog")),
        (I::SqlCatalogAtStart, yes()),
        (I::SqlSchemasSupportedActions, bits(&[])),
        (I::SqlCatalogsSupportedActions, bits(&[])),
        (I::SqlSupportedPositionedCommands, bits(&[])),
        (I::SqlSelectForUpdateSupported, no()),
        (I::SqlStoredProceduresSupported, no()),
        // In comparisons, EXISTS and IN.
        (I::SqlSupportedSubqueries, bits(&[0, 1, 2])),
        (I::SqlCorrelatedSubqueriesSupported, yes()),
        // UNION and UNION ALL.
        (I::SqlSupportedUnions, bits(&[0, 1])),
        (I::SqlMaxBinaryLiteralLength, unlimited()),
        (I::SqlMaxCharLiteralLength, unlimited()),
        (I::SqlMaxColumnNameLength, unlimited()),
        (I::SqlMaxColumnsInGroupBy, unlimited()),
        (I::SqlMaxColumnsInIndex, unlimited()),
        (I::SqlMaxColumnsInOrderBy, unlimited()),
        (I::SqlMaxColumnsInSelect, unlimited()),
        (I::SqlMaxColumnsInTable, unlimited()),
        (I::SqlMaxConnections, unlimited()),
        (I::SqlMaxCursorNameLength, unlimited()),
        (I::SqlMaxIndexLength, unlimited()),
        (I::SqlDbSchemaNameLength, unlimited()),
        (I::SqlMaxProcedureNameLength, unlimited()),
        (I::SqlMaxCatalogNameLength, unlimited()),
        (I::SqlMaxRowSize, unlimited()),
        (I::SqlMaxRowSizeIncludesBlobs, yes()),
        (I::SqlMaxStatementLength, unlimited()),
        (I::SqlMaxStatements, unlimited()),
        (I::SqlMaxTableNameLength, unlimited()),
        (I::SqlMaxTablesInSelect, unlimited()),
        (I::SqlMaxUsernameLength, unlimited()),
        // SqlTransactionIsolationLevel: none.
        (I::SqlDefaultTransactionIsolation, number(0)),
        (I::SqlTransactionsSupported, no()),
        (I::SqlSupportedTransactionsIsolationLevels, bits(&[0])),
        (I::SqlDataDefinitionCausesTransactionCommit, no()),
        (I::SqlDataDefinitionsInTransactionsIgnored, no()),
        // Forwards only, and read only.
        (I::SqlSupportedResultSetTypes, bits(&[1])),
        (I::SqlSupportedConcurrenciesForResultSetUnspecified, bits(&[1])),
        (I::SqlSupportedConcurrenciesForResultSetForwardOnly, bits(&[1])),
        (I::SqlSupportedConcurrenciesForResultSetScrollSensitive, bits(&[])),
        (I::SqlSupportedConcurrenciesForResultSetScrollInsensitive, bits(&[])),
        (I::SqlBatchUpdatesSupported, no()),
        (I::SqlSavepointsSupported, no()),
        (I::SqlNamedParametersSupported, no()),
        (I::SqlLocatorsUpdateCopy, no()),
        (I::SqlStoredFunctionsUsingCallSyntaxSupported, no()),
    ]
}

/// Every info.
pub(super) fn sql_info() -> Result<&'static SqlInfoData> {
    static INFO: LazyLock<Result<SqlInfoData>> = LazyLock::new(|| {
        let mut infos = SqlInfoDataBuilder::new();
        for (name, value) in all() {
            match value {
                Value::Text(text) => infos.append(name, text),
                Value::Truth(truth) => infos.append(name, truth),
                Value::Most(most) => infos.append(name, most),
                Value::Number(number) => infos.append(name, number),
                Value::Words(words) => infos.append(name, words),
                Value::NoConversions => infos.append(name, BTreeMap::<i32, Vec<i32>>::new()),
            }
        }
        infos.build()
    });
    INFO.as_ref().map_err(|error| FlightError::protocol(error.to_string()))
}

/// A type: its name, its number in XDBC, its size; whether it is written in quotes.
struct Described {
    name: &'static str,
    number: XdbcDataType,
    size: Option<i32>,
    quoted: bool,
}

/// The types that tables have.
pub(super) fn types() -> Result<XdbcTypeInfoData> {
    let described = |name, number, size, quoted| Described { name, number, size, quoted };
    let mut types = XdbcTypeInfoDataBuilder::new();
    for Described { name, number, size, quoted } in [
        described("boolean", XdbcDataType::XdbcBit, Some(1), false),
        described("bigint", XdbcDataType::XdbcBigint, Some(19), false),
        described("integer", XdbcDataType::XdbcInteger, Some(10), false),
        described("decimal", XdbcDataType::XdbcDecimal, Some(38), false),
        described("double precision", XdbcDataType::XdbcDouble, Some(15), false),
        described("text", XdbcDataType::XdbcVarchar, None, true),
        described("date", XdbcDataType::XdbcDate, Some(10), true),
        described("timestamp with time zone", XdbcDataType::XdbcTimestamp, Some(32), true),
    ] {
        let is_number = matches!(number, XdbcDataType::XdbcBigint | XdbcDataType::XdbcInteger | XdbcDataType::XdbcDecimal | XdbcDataType::XdbcDouble);
        let is_decimal = number == XdbcDataType::XdbcDecimal;
        let is_time = number == XdbcDataType::XdbcTimestamp;
        types.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type: number,
            column_size: size,
            literal_prefix: quoted.then(|| "'".to_owned()),
            literal_suffix: quoted.then(|| "'".to_owned()),
            create_params: is_decimal.then(|| vec!["precision".to_owned(), "scale".to_owned()]),
            nullable: Nullable::NullabilityNullable,
            case_sensitive: number == XdbcDataType::XdbcVarchar,
            searchable: Searchable::Full,
            unsigned_attribute: is_number.then_some(false),
            fixed_prec_scale: is_decimal,
            auto_increment: is_number.then_some(false),
            local_type_name: Some(name.to_owned()),
            minimum_scale: is_decimal.then_some(0),
            maximum_scale: is_decimal.then_some(38),
            sql_data_type: if is_time || number == XdbcDataType::XdbcDate { XdbcDataType::XdbcDatetime } else { number },
            datetime_subcode: is_time.then_some(XdbcDatetimeSubcode::XdbcSubcodeTimestampWithTimezone),
            num_prec_radix: is_number.then_some(10),
            interval_precision: None,
        });
    }
    types.build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_info_is_there_once_and_can_be_asked_for_alone() {
        let numbers: BTreeSet<i32> = all().iter().map(|(name, _)| i32::from(*name)).collect();
        assert_eq!(numbers.len(), all().len());
        // The specification leaves no gap there.
        assert!((500..=576).all(|number| numbers.contains(&number)), "{:?}", (500..=576).filter(|number| !numbers.contains(number)).collect::<Vec<_>>());
        let data = sql_info().unwrap();
        assert_eq!(data.record_batch([]).unwrap().num_rows(), numbers.len());
        assert_eq!(data.record_batch([3, 9]).unwrap().num_rows(), 2);
    }

    #[test]
    fn types_can_be_asked_for_by_their_number() {
        let types = types().unwrap();
        assert_eq!(types.record_batch(None).unwrap().num_rows(), 8);
        assert_eq!(types.record_batch(XdbcDataType::XdbcBigint as i32).unwrap().num_rows(), 1);
    }
}
