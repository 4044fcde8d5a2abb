//! Cells in both formats, over awkward values.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, DictionaryArray, DurationMicrosecondArray, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int8Array, Int32Array, IntervalMonthDayNanoArray, ListArray, ListBuilder, NullArray, StringArray, StringBuilder, Time64NanosecondArray,
    TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt8Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, IntervalMonthDayNanoType, Schema, SchemaRef, i256};
use bytes::BytesMut;

use super::*;

fn layout(array: &ArrayRef, format: i16) -> Layout {
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("c", array.data_type().clone(), true)]));
    Layout::new(&schema, &[format]).unwrap()
}

/// The cells of one column; `None` for NULL.
fn cells(array: ArrayRef, format: i16) -> Vec<Option<Vec<u8>>> {
    let layout = layout(&array, format);
    let column = [Column::new(&array).unwrap()];
    let cell = |row: usize| {
        let mut out = BytesMut::new();
        tuple(&column, &layout, row, &mut out).unwrap();
        // The count of columns, then the length.
        let length = i32::from_be_bytes(out[2..6].try_into().unwrap());
        (length >= 0).then(|| out[6..].to_vec())
    };
    (0..array.len()).map(cell).collect()
}

fn texts(array: ArrayRef) -> Vec<String> {
    cells(array, 0).into_iter().map(|cell| cell.map_or_else(|| "NULL".to_owned(), |bytes| String::from_utf8(bytes).unwrap())).collect()
}

fn binaries(array: ArrayRef) -> Vec<Vec<u8>> {
    cells(array, 1).into_iter().map(Option::unwrap_or_default).collect()
}

#[test]
fn plain_values_in_text() {
    assert_eq!(texts(Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))), ["t", "f", "NULL"]);
    assert_eq!(texts(Arc::new(Int8Array::from(vec![-128, 127]))), ["-128", "127"]);
    assert_eq!(texts(Arc::new(UInt8Array::from(vec![255]))), ["255"]);
    assert_eq!(texts(Arc::new(UInt64Array::from(vec![i64::MAX.unsigned_abs()]))), ["9223372036854775807"]);
    assert_eq!(texts(Arc::new(Float64Array::from(vec![-0.0, f64::NAN, 0.1, 1e15]))), ["-0", "NaN", "0.1", "1e+15"]);
    assert_eq!(texts(Arc::new(Float32Array::from(vec![0.1, 1_000_000.0]))), ["0.1", "1e+06"]);
    assert_eq!(texts(Arc::new(StringArray::from(vec![Some(""), Some("Ünal\n"), None]))), ["", "Ünal\n", "NULL"]);
    assert_eq!(texts(Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]))), ["\\x00ff"]);
    assert_eq!(texts(Arc::new(NullArray::new(1))), ["NULL"]);
    let dictionary: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("a")].into_iter().collect();
    assert_eq!(texts(Arc::new(dictionary)), ["a", "NULL", "a"]);
    assert_eq!(texts(Arc::new(FixedSizeBinaryArray::try_from_iter([[1_u8, 2]].into_iter()).unwrap())), ["\\x0102"]);
}

#[test]
fn decimals_keep_every_digit() {
    let money = Decimal128Array::from(vec![Some(999_999_999_999_999), Some(-1), Some(0), None]).with_precision_and_scale(15, 2).unwrap();
    assert_eq!(texts(Arc::new(money.clone())), ["9999999999999.99", "-0.01", "0.00", "NULL"]);
    assert_eq!(binaries(Arc::new(money))[1], [0, 1, 0xff, 0xff, 0x40, 0, 0, 2, 0, 100]);
    let wide = i128::MAX / 2;
    assert_eq!(texts(Arc::new(Decimal128Array::from(vec![wide]).with_precision_and_scale(38, 0).unwrap())), [wide.to_string()]);
    let wider = Decimal256Array::from(vec![i256::from_i128(-12_345)]).with_precision_and_scale(60, 3).unwrap();
    assert_eq!(texts(Arc::new(wider)), ["-12.345"]);
}

#[test]
fn times_are_those_of_the_session_and_bring_their_units() {
    let micros = TimestampMicrosecondArray::from(vec![0, -62_135_596_800_000_000, 253_402_300_799_000_001]);
    assert_eq!(texts(Arc::new(micros.clone())), ["1970-01-01 00:00:00", "0001-01-01 00:00:00", "9999-12-31 23:59:59.000001"]);
    assert_eq!(texts(Arc::new(micros.clone().with_timezone("Europe/Berlin")))[0], "1970-01-01 01:00:00+01");
    assert_eq!(texts(Arc::new(TimestampSecondArray::from(vec![1]))), ["1970-01-01 00:00:01"]);
    assert_eq!(texts(Arc::new(TimestampNanosecondArray::from(vec![-1]))), ["1969-12-31 23:59:59.999999"]);
    assert_eq!(binaries(Arc::new(micros))[0], (-946_684_800_000_000_i64).to_be_bytes());
    assert_eq!(binaries(Arc::new(Date32Array::from(vec![10_957]))), [0_i32.to_be_bytes()]);
    assert_eq!(texts(Arc::new(Time64NanosecondArray::from(vec![3_661_000_001_000]))), ["01:01:01.000001"]);
    let interval = IntervalMonthDayNanoArray::from(vec![Some(IntervalMonthDayNanoType::make_value(1, 2, 3_000)), None]);
    assert_eq!(texts(Arc::new(interval)), ["1 mon 2 days 00:00:00.000003", "NULL"]);
    assert_eq!(texts(Arc::new(DurationMicrosecondArray::from(vec![1_500_000]))), ["00:00:01.5"]);
    let far: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX]));
    assert_eq!(Column::new(&far).err().map(|failure| failure.code), Some(code::DATETIME));
}

fn lists() -> ListArray {
    let mut builder = ListBuilder::new(StringBuilder::new());
    builder.append_value([Some("a"), None, Some("")]);
    builder.append_value([Some("b c"), Some("null"), Some("q\"\\"), Some("{,}")]);
    builder.append_value(Vec::<Option<&str>>::new());
    builder.append_null();
    builder.finish()
}

#[test]
fn arrays_are_quoted_where_they_must_be() {
    assert_eq!(texts(Arc::new(lists())), [r#"{a,NULL,""}"#, r#"{"b c","null","q\"\\","{,}"}"#, "{}", "NULL"]);
    // A slice begins elsewhere in the values.
    assert_eq!(texts(Arc::new(lists().slice(1, 1))), [r#"{"b c","null","q\"\\","{,}"}"#]);
    let binary = binaries(Arc::new(lists()));
    let expected = [&[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 25, 0, 0, 0, 3, 0, 0, 0, 1][..], &[0, 0, 0, 1, b'a'], &[0xff; 4], &[0; 4]].concat();
    assert_eq!(binary[0], expected);
    assert_eq!(binary[2], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25]);
}

fn nested(rows: Vec<Vec<Vec<i32>>>) -> ArrayRef {
    let mut builder = ListBuilder::new(ListBuilder::new(arrow::array::Int32Builder::new()));
    for row in rows {
        for inner in row {
            builder.values().append_value(inner.into_iter().map(Some));
        }
        builder.append(true);
    }
    Arc::new(builder.finish())
}

#[test]
fn arrays_of_arrays_are_of_two_dimensions_or_none() {
    let even = nested(vec![vec![vec![1, 2], vec![3, 4]]]);
    assert_eq!(texts(Arc::clone(&even)), ["{{1,2},{3,4}}"]);
    let binary = binaries(even);
    assert_eq!(binary[0][..20], [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1]);
    assert_eq!(binary[0].len(), 12 + 16 + 4 * 8);
    let uneven = nested(vec![vec![vec![1], vec![2, 3]]]);
    assert_eq!(texts(Arc::clone(&uneven)), ["{{1},{2,3}}"]);
    let (columns, layout) = ([Column::new(&uneven).unwrap()], layout(&uneven, 1));
    let mut out = BytesMut::from(&b"before"[..]);
    assert_eq!(data_row(&columns, &layout, 0, &mut out).unwrap_err().code, code::ARRAY);
    assert_eq!(&out[..], b"before");
}

#[test]
fn what_postgresql_has_no_type_for_is_text() {
    let fields = vec![(Arc::new(Field::new("a", DataType::Int32, true)), Arc::new(Int32Array::from(vec![1])) as ArrayRef)];
    let array: ArrayRef = Arc::new(arrow::array::StructArray::from(fields));
    assert_eq!(layout(&array, 0).columns()[0].pg_type, pgwire::api::Type::TEXT);
    assert_eq!(texts(array), ["{a: 1}"]);
}

#[test]
fn a_row_is_a_message_with_its_length() {
    let array: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None]));
    let (columns, layout) = ([Column::new(&array).unwrap()], layout(&array, 0));
    let mut out = BytesMut::new();
    data_row(&columns, &layout, 0, &mut out).unwrap();
    assert_eq!(&out[..], b"D\0\0\0\x0b\0\x01\0\0\0\x017");
    out.clear();
    data_row(&columns, &layout, 1, &mut out).unwrap();
    assert_eq!(&out[..], b"D\0\0\0\x0a\0\x01\xff\xff\xff\xff");
    let too_much: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    assert_eq!(data_row(&[Column::new(&too_much).unwrap()], &layout, 0, &mut out).unwrap_err().code, code::OUT_OF_RANGE);
}
