//! Parameters in both formats.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, Int64Type, TimeUnit};
use bytes::{BufMut, BytesMut};

use super::*;

const MONEY: DataType = DataType::Decimal128(15, 2);

fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn read(format: Format, pg_type: &Type, expected: &DataType, bytes: &[u8]) -> Result<ScalarValue, Failure> {
    Parameter::new(Some(pg_type), expected).value(Some(&Bytes::copy_from_slice(bytes)), format, "Europe/Berlin")
}

fn text(pg_type: &Type, expected: &DataType, text: &str) -> ScalarValue {
    read(Format::Text, pg_type, expected, text.as_bytes()).unwrap()
}

fn fault(format: Format, pg_type: &Type, bytes: &[u8]) -> &'static str {
    read(format, pg_type, &DataType::Null, bytes).unwrap_err().code
}

/// 2026-01-01T00:00:00Z
const NEW_YEAR: i64 = 1_767_225_600_000_000;

#[test]
fn text_becomes_values_of_the_expected_type() {
    assert_eq!(text(&Type::INT4, &DataType::Int64, " 7 "), ScalarValue::Int64(Some(7)));
    assert_eq!(text(&Type::BOOL, &DataType::Boolean, "t"), ScalarValue::Boolean(Some(true)));
    assert_eq!(text(&Type::BOOL, &DataType::Boolean, "off"), ScalarValue::Boolean(Some(false)));
    assert_eq!(text(&Type::FLOAT8, &DataType::Float64, "-1.5e3"), ScalarValue::Float64(Some(-1_500.0)));
    assert_eq!(text(&Type::NUMERIC, &MONEY, "10.5"), ScalarValue::Decimal128(Some(1_050), 15, 2));
    assert_eq!(text(&Type::UNKNOWN, &DataType::Int32, "5"), ScalarValue::Int32(Some(5)));
    assert_eq!(text(&Type::VARCHAR, &DataType::Utf8, " a "), ScalarValue::Utf8(Some(" a ".into())));
    assert_eq!(text(&Type::BYTEA, &DataType::Binary, "\\x00fF"), ScalarValue::Binary(Some(vec![0, 255])));
    assert_eq!(text(&Type::DATE, &DataType::Date32, "2026-01-01"), ScalarValue::Date32(Some(20_454)));
}

#[test]
fn what_the_expected_type_cannot_hold_stays_as_it_is() {
    assert_eq!(text(&Type::NUMERIC, &MONEY, "10.005"), ScalarValue::Decimal128(Some(10_005), 5, 3));
    assert_eq!(text(&Type::INT8, &DataType::Int32, "3000000000"), ScalarValue::Int64(Some(3_000_000_000)));
    assert_eq!(text(&Type::FLOAT8, &DataType::Int32, "1.5"), ScalarValue::Float64(Some(1.5)));
    assert_eq!(text(&Type::NUMERIC, &DataType::Null, "-1e-2"), ScalarValue::Decimal128(Some(-1), 2, 2));
    assert_eq!(text(&Type::NUMERIC, &DataType::Null, "1e3"), ScalarValue::Decimal128(Some(1_000), 4, 0));
    assert_eq!(text(&Type::NUMERIC, &DataType::Null, "0.00"), ScalarValue::Decimal128(Some(0), 2, 2));
}

#[test]
fn times_without_an_offset_are_in_the_session_s_zone() {
    let at = |micros: i64| ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()));
    let hour = 3_600_000_000;
    assert_eq!(text(&Type::TIMESTAMPTZ, &instant_type(), "2026-01-01 00:00:00+00"), at(NEW_YEAR));
    assert_eq!(text(&Type::TIMESTAMPTZ, &instant_type(), "2026-01-01 00:00:00"), at(NEW_YEAR - hour));
    // The clock on a wall stays one: the engine knows what it is compared with.
    let wall = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(text(&Type::TIMESTAMP, &wall, "2026-01-01 00:00:00"), ScalarValue::TimestampMicrosecond(Some(NEW_YEAR), None));
    let binary = read(Format::Binary, &Type::TIMESTAMPTZ, &instant_type(), &(NEW_YEAR - 946_684_800_000_000).to_be_bytes()).unwrap();
    assert_eq!(binary, at(NEW_YEAR));
}

fn numeric(weight: i16, sign: u16, scale: u16, groups: &[u16]) -> Vec<u8> {
    let mut out = BytesMut::new();
    out.put_u16(u16::try_from(groups.len()).unwrap());
    out.put_i16(weight);
    out.put_u16(sign);
    out.put_u16(scale);
    groups.iter().for_each(|group| out.put_u16(*group));
    out.to_vec()
}

#[test]
fn numerics_in_binary_keep_their_digits() {
    let of = |bytes: Vec<u8>| read(Format::Binary, &Type::NUMERIC, &DataType::Null, &bytes).unwrap();
    assert_eq!(of(numeric(1, 0, 2, &[12, 3456, 7800])), ScalarValue::Decimal128(Some(12_345_678), 8, 2));
    assert_eq!(of(numeric(-1, 0x4000, 2, &[100])), ScalarValue::Decimal128(Some(-1), 2, 2));
    assert_eq!(of(numeric(0, 0, 2, &[])), ScalarValue::Decimal128(Some(0), 2, 2));
    assert_eq!(of(numeric(1, 0, 0, &[100])), ScalarValue::Decimal128(Some(1_000_000), 7, 0));
    assert_eq!(fault(Format::Binary, &Type::NUMERIC, &numeric(0, 0xc000, 0, &[])), code::OUT_OF_RANGE);
    assert_eq!(fault(Format::Binary, &Type::NUMERIC, &numeric(20, 0, 0, &[1])), code::OUT_OF_RANGE);
    assert_eq!(fault(Format::Binary, &Type::NUMERIC, &numeric(0, 0, 0, &[10_000])), code::BAD_BINARY);
    assert_eq!(fault(Format::Binary, &Type::NUMERIC, b"\0\x05\0\0"), code::BAD_BINARY);
}

fn strings(value: &ScalarValue) -> Vec<Option<String>> {
    let ScalarValue::List(list) = value else { panic!("{value:?}") };
    list.value(0).as_string::<i32>().iter().map(|value| value.map(str::to_owned)).collect()
}

#[test]
fn arrays_come_in_both_formats() {
    let expected = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    let value = text(&Type::TEXT_ARRAY, &expected, r#"{a, "b c" ,NULL,"NULL","q\"\\",x\,y}"#);
    assert_eq!(strings(&value), [Some("a"), Some("b c"), None, Some("NULL"), Some("q\"\\"), Some("x,y")].map(|value| value.map(str::to_owned)));
    assert_eq!(strings(&text(&Type::TEXT_ARRAY, &expected, "{}")), Vec::<Option<String>>::new());
    for broken in ["", "{", "a", "{a", "{a,}", "{\"a}", "{a}b", "{a\"b}"] {
        assert_eq!(fault(Format::Text, &Type::TEXT_ARRAY, broken.as_bytes()), code::BAD_TEXT, "{broken}");
    }
    assert_eq!(fault(Format::Text, &Type::TEXT_ARRAY, b"{{a}}"), code::UNSUPPORTED);

    let mut out = BytesMut::new();
    for word in [1, 1, 20, 2, 1, 8, 0, 5, -1] {
        out.put_i32(word);
    }
    let value = read(Format::Binary, &Type::INT8_ARRAY, &DataType::Null, &out).unwrap();
    let ScalarValue::List(list) = value else { panic!("no list") };
    let inner = list.value(0);
    let inner = inner.as_primitive::<Int64Type>();
    assert_eq!((inner.value(0), inner.is_null(1), inner.len()), (5, true, 2));
    // A hostile count, and arrays in arrays.
    for words in [[1, 0, 20, i32::MAX, 1], [1, 0, 1009, 1, 1], [2, 0, 20, 1, 1]] {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        assert!(read(Format::Binary, &Type::INT8_ARRAY, &DataType::Null, &bytes).is_err());
    }
    let money = text(&Type::NUMERIC_ARRAY, &DataType::Null, "{1.5,20,NULL}");
    let ScalarValue::List(list) = money else { panic!("no list") };
    assert_eq!(*list.value(0).data_type(), DataType::Decimal128(3, 1));
}

#[test]
fn nonsense_is_an_error_with_its_code() {
    assert_eq!(fault(Format::Text, &Type::INT4, b"1x"), code::BAD_TEXT);
    assert_eq!(fault(Format::Text, &Type::INT4, b"\xff"), code::NOT_UTF8);
    assert_eq!(fault(Format::Text, &Type::TIMESTAMPTZ, b"yesterday"), code::BAD_TEXT);
    assert_eq!(fault(Format::Text, &Type::NUMERIC, b"NaN"), code::BAD_TEXT);
    assert_eq!(fault(Format::Binary, &Type::INT4, b"\0\0"), code::BAD_BINARY);
    assert_eq!(fault(Format::Binary, &Type::TIMESTAMP, &i64::MAX.to_be_bytes()), code::DATETIME);
    assert_eq!(fault(Format::Binary, &Type::POINT, b""), code::UNSUPPORTED);
    assert_eq!(fault(Format::Binary, &Type::JSONB, b"\x02{}"), code::BAD_BINARY);
    assert_eq!(Parameter::new(None, &DataType::Int32).value(None, Format::Text, "UTC"), Ok(ScalarValue::Int32(None)));
}
