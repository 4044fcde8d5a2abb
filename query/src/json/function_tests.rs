//! What the functions give.

use arrow::datatypes::FieldRef;
use datafusion::common::ScalarValue;
use datafusion::config::ConfigOptions;

use super::*;

fn called(kind: Kind, args: Vec<ColumnarValue>, rows: usize) -> Result<ArrayRef> {
    let fields: Vec<FieldRef> = args.iter().map(|argument| Arc::new(Field::new("a", argument.data_type(), true)) as FieldRef).collect();
    let args = ScalarFunctionArgs {
        args,
        arg_fields: fields,
        number_rows: rows,
        return_field: Arc::new(Field::new("b", kind.gives(), true)),
        config_options: Arc::new(ConfigOptions::default()),
    };
    let found = function(kind).invoke_with_args(args)?.into_array(rows)?;
    assert_eq!(*found.data_type(), kind.gives());
    Ok(found)
}

fn texts(values: &[&str]) -> ColumnarValue {
    let values: StringArray = values.iter().map(|value| if *value == "NULL" { None } else { Some(*value) }).collect();
    ColumnarValue::Array(Arc::new(values))
}

fn constant(value: &str) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::from(value))
}

/// Each row as text, NULL as nothing.
fn shown(found: &ArrayRef) -> Vec<String> {
    (0..found.len()).map(|row| arrow::util::display::array_value_to_string(found, row).unwrap()).collect()
}

#[test]
fn values_of_another_type_are_null_where_a_cast_would_be_an_error() {
    let json = || texts(&[r#"{"n":42}"#, r#"{"n":"-7"}"#, r#"{"n":1.5}"#, r#"{"n":true}"#, r#"{"n":null}"#, "{}", "no", "NULL"]);
    let of = |kind| shown(&called(kind, vec![json(), constant("n")], 8).unwrap());
    assert_eq!(of(Kind::Int), ["42", "-7", "", "", "", "", "", ""]);
    assert_eq!(of(Kind::Float), ["42.0", "-7.0", "1.5", "", "", "", "", ""]);
    assert_eq!(of(Kind::Bool), ["", "", "", "true", "", "", "", ""]);
    let infinite = called(Kind::Float, vec![constant(r#"["inf"]"#), ColumnarValue::Scalar(ScalarValue::Int64(Some(0)))], 1).unwrap();
    assert_eq!(infinite.null_count(), 1);
}

#[test]
fn paths_are_taken_as_arrays_and_as_text() {
    let json = || texts(&[r#"{"a":{"b":["x",{"c":1.50}]}}"#, "[]", "NULL"]);
    let of = |path: &str| shown(&called(Kind::Path(Gives::Text), vec![json(), constant(path)], 3).unwrap());
    assert_eq!(of("{a,b,0}"), ["x", "", ""]);
    assert_eq!(of("{a,b,-1,c}"), ["1.50", "", ""]);
    assert_eq!(of("{}"), [r#"{"a":{"b":["x",{"c":1.50}]}}"#, "[]", ""]);
    assert!(called(Kind::Path(Gives::Text), vec![json(), constant("a,b")], 3).unwrap_err().to_string().contains("'a,b' is no array of text"));
    let mut list = ListBuilder::new(StringBuilder::new());
    for _ in 0..3 {
        list.values().append_value("a");
        list.values().append_value("b");
        list.append(true);
    }
    let found = called(Kind::Path(Gives::Json), vec![json(), ColumnarValue::Array(Arc::new(list.finish()))], 3).unwrap();
    assert_eq!(shown(&found), [r#"["x",{"c":1.50}]"#, "", ""]);
    let found = called(Kind::Extract(Gives::Json), vec![json(), constant("a"), texts(&["b", "b", "NULL"])], 3).unwrap();
    assert_eq!(shown(&found), [r#"["x",{"c":1.50}]"#, "", ""]);
}

#[test]
fn elements_are_those_of_arrays_only() {
    let found = called(Kind::Elements(Gives::Json), vec![texts(&[r#"[{"a":1},null,"é"]"#, "[]", "{}", "NULL"])], 4).unwrap();
    let lists = found.as_list::<i32>();
    assert_eq!(shown(&lists.value(0)), [r#"{"a":1}"#, "null", "\"é\""]);
    assert_eq!((lists.value(1).len(), lists.is_null(1), lists.is_null(2), lists.is_null(3)), (0, false, true, true));
    let found = called(Kind::Elements(Gives::Text), vec![texts(&[r#"[{"a":1},null,"é"]"#])], 1).unwrap();
    assert_eq!(shown(&found.as_list::<i32>().value(0)), [r#"{"a":1}"#, "", "é"]);
    let lengths = called(Kind::Length, vec![texts(&["[1,[2,3]]", "[]", "{}", "7"])], 4).unwrap();
    assert_eq!(shown(&lengths), ["2", "0", "", ""]);
}

#[test]
fn containment_and_keys_have_three_truth_values() {
    let outer = || texts(&[r#"{"a":1,"b":2}"#, r#"{"a":2}"#, "no json", "NULL"]);
    let found = called(Kind::Contains, vec![outer(), constant(r#"{"a":1.0}"#)], 4).unwrap();
    assert_eq!(shown(&found), ["true", "false", "", ""]);
    let found = called(Kind::Contains, vec![outer(), texts(&["{}", "NULL", "{}", "{}"])], 4).unwrap();
    assert_eq!(shown(&found), ["true", "", "", ""]);
    let of = |kind, keys: &str| shown(&called(kind, vec![outer(), constant(keys)], 4).unwrap());
    assert_eq!(of(Kind::HasKey, "b"), ["true", "false", "", ""]);
    assert_eq!(of(Kind::HasAny, "{b,c}"), ["true", "false", "", ""]);
    assert_eq!(of(Kind::HasAll, "{a,b}"), ["true", "false", "", ""]);
    assert_eq!(of(Kind::HasAll, "{}"), ["true", "true", "", ""]);
}
