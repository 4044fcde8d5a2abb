//! Messages of the engine, and what is said in their place.

use super::of;

#[test]
fn messages_become_sentences() {
    for (message, sentence) in [
        (
            "Internal error: Function 'sum' failed to match any signature, errors: Error during planning: Function 'sum' requires Decimal, but received String (DataType: Utf8).,Error",
            "function sum(text) does not exist",
        ),
        (
            "Function 'upper' requires String, but received Decimal(15, 2) (DataType: Decimal128(15, 2)).. No function matches the given name and argument types \
             'upper(Decimal128(15, 2))'. You might need to add explicit type casts.",
            "function upper(numeric) does not exist",
        ),
        ("Failed to coerce arguments to satisfy a call to 'lpad' function: coercion from Utf8 to the signature OneOf(Exact(Utf8View", "function lpad(text) does not exist"),
        ("Cannot infer common argument type for comparison operation Boolean = Int64", "operator does not exist: boolean = integer"),
        ("Cannot infer common argument type for comparison operation Timestamp(µs, \"UTC\") > Int64", "operator does not exist: timestamp with time zone > integer"),
        ("Cannot coerce arithmetic expression Utf8 + Int64 to valid types", "operator does not exist: text + integer"),
        ("There isn't a common type to coerce Decimal128(15, 2) and Utf8 in LIKE expression", "operator does not exist: numeric LIKE text"),
        (
            "Internal error: Failed to coerce types Timestamp(µs, \"UTC\") and Int64 in BETWEEN expression.\nThis issue was likely caused by a bug",
            "operator does not exist: timestamp with time zone BETWEEN integer",
        ),
        ("Cast error: Cannot cast string 'abc' to value of Decimal128(38, 10) type", "invalid input syntax for type numeric: \"abc\""),
        ("Parser error: Error parsing timestamp from '01.10.2026': error parsing date", "invalid input syntax for type timestamp with time zone: \"01.10.2026\""),
        ("Divide by zero error", "division by zero"),
        (
            "Column in SELECT must be in GROUP BY or an aggregate function: While expanding wildcard, column \"t.user_id\" must appear in the GROUP BY clause or must be part of \
             an aggregate function, currently only \"count(Int64(1))\" appears in the SELECT clause satisfies this requirement",
            "column t.user_id must appear in the GROUP BY clause or be used in an aggregate function",
        ),
        ("Cannot create filter with non-boolean predicate 'transactions.amount' returning Decimal128(15, 2)", "the argument of WHERE must be of type boolean, not numeric"),
        ("Cannot access field at argument 1: type Utf8 is not Struct, Map, or Null", "cannot subscript type text"),
        ("Physical plan does not support logical expression WindowFunction(WindowFunction { fun: x })", "window functions are not allowed here"),
        ("Physical plan does not support logical expression Exists(Exists { subquery: x })", "EXISTS and IN with a subquery are supported in WHERE and HAVING only"),
        ("Argument #2 must be an INTEGER or NULL, got Literal(Utf8(\"x\"), None)", "Argument #2 must be an INTEGER or NULL"),
        ("Unsupported ast node in sqltorel: Substring { expr: Identifier(Ident { value: \"a\" }) }", "Unsupported ast node in sqltorel"),
        ("Substring { expr: Identifier(Ident { value: \"a\" }) }", "this form of expression is not known here"),
        ("HAVING clause references: t.amount > Int64(5) must appear", "HAVING clause references: t.amount > 5 must appear"),
    ] {
        assert_eq!(of(message).message, sentence);
    }
}

#[test]
fn hints_say_what_to_write() {
    assert!(of("Parser error: Error parsing timestamp from 'x': error").hint.is_some_and(|hint| hint.contains("2026-10-01")));
    assert!(of("Cannot infer common argument type for comparison operation Boolean = Int64").hint.is_some_and(|hint| hint.contains("= true")));
    assert!(of("Cannot access field at argument 1: type Utf8 is not Struct").hint.is_some_and(|hint| hint.contains("->>")));
    assert_eq!(of("something else").hint, None);
}
