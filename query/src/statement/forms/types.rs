//! Names of types as clients write them whose tables of types are read from `pg_catalog`: with the schema before them, and PostgreSQL's own.
//!
//! What must stay true: a type that has the schema before it means what it means without; one of another schema is left, and refused by its name.

use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType as SqlType, ObjectName};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// Texts, where their length is left out, or is that of a name.
const TEXTS: [&str; 4] = ["name", "bpchar", "char", "cstring"];

/// `"pg_catalog"."numeric"(15, 2)` is `numeric(15, 2)`, `pg_catalog._int4` is `int4[]`, and `name` is `text`.
pub(super) fn unqualified(data_type: &mut SqlType) {
    match data_type {
        SqlType::Array(ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::AngleBracket(element)) => unqualified(element),
        SqlType::Custom(name, modifiers) => {
            let known = match name.0.as_slice() {
                [alone] => alone.as_ident().filter(|ident| is_text(&ident.value)).map(|_| SqlType::Text),
                _ => bare(name).and_then(|name| read(name, modifiers)),
            };
            if let Some(known) = known {
                *data_type = known;
            }
        }
        _ => {}
    }
}

/// What stands behind `pg_catalog.`
fn bare(name: &ObjectName) -> Option<&str> {
    let [schema, name] = name.0.as_slice() else { return None };
    let (schema, name) = (schema.as_ident()?, name.as_ident()?);
    schema.value.eq_ignore_ascii_case("pg_catalog").then_some(name.value.as_str())
}

fn is_text(name: &str) -> bool {
    TEXTS.iter().any(|text| text.eq_ignore_ascii_case(name))
}

fn read(name: &str, modifiers: &[String]) -> Option<SqlType> {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !plain(name) || !modifiers.iter().all(|modifier| plain(modifier)) {
        return None;
    }
    let (element, dimensions) = name.strip_prefix('_').map_or((name, ""), |element| (element, "[]"));
    let modifiers = if modifiers.is_empty() { String::new() } else { format!("({})", modifiers.join(", ")) };
    let text = if is_text(element) { format!("text{dimensions}") } else { format!("{element}{modifiers}{dimensions}") };
    let dialect = PostgreSqlDialect {};
    Parser::new(&dialect).try_with_sql(&text).ok()?.parse_data_type().ok()
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::Expr as SqlExpr;

    use super::*;

    fn read_as(written: &str) -> String {
        let mut expr = Parser::new(&PostgreSqlDialect {}).try_with_sql(&format!("x::{written}")).unwrap().parse_expr().unwrap();
        let SqlExpr::Cast { data_type, .. } = &mut expr else { panic!("{written}") };
        unqualified(data_type);
        data_type.to_string()
    }

    #[test]
    fn a_type_means_the_same_with_its_schema_before_it() {
        for (written, same) in [
            ("\"pg_catalog\".\"numeric\"", "numeric"),
            ("pg_catalog.numeric(15, 2)", "numeric(15, 2)"),
            ("pg_catalog.int8", "int8"),
            ("PG_CATALOG.Bool", "bool"),
            ("pg_catalog.timestamptz", "timestamptz"),
            ("pg_catalog.varchar(5)", "varchar(5)"),
            ("\"pg_catalog\".\"float8\"[]", "float8[]"),
            ("pg_catalog._text", "text[]"),
            ("pg_catalog.\"char\"", "text"),
            ("name", "text"),
            ("pg_catalog.bpchar", "text"),
            ("pg_catalog.regclass", "regclass"),
            ("other.numeric", "other.numeric"),
            ("mood", "mood"),
        ] {
            assert_eq!(read_as(written).to_lowercase(), read_as(same).to_lowercase(), "{written}");
        }
        assert_eq!(read_as("pg_catalog.\"x; DROP\""), "pg_catalog.\"x; DROP\"");
    }
}
