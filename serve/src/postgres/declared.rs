//! Types of parameters that the text of a statement tells and the engine does not: it knows numbers of objects (`oid`) as integers.
//!
//! What must stay true: only `$n::oid` and lists of it are told; who sends values by these types sends the same numbers, so that a text in quotes that looks like it
//! changes nothing that is computed.

use pgwire::api::Type;

/// Names of types whose values are numbers of objects.
const OIDS: [&str; 4] = ["oid", "regclass", "regtype", "regnamespace"];

/// The type that parameter `number` (from 1) is cast to, where it is one of these.
pub(super) fn oid(sql: &str, number: usize) -> Option<Type> {
    let name = format!("${number}");
    sql.match_indices(&name).find_map(|(at, _)| {
        let rest = sql.get(at + name.len()..)?.trim_start().strip_prefix("::")?.trim_start();
        let rest = rest.strip_prefix("pg_catalog.").unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        let known = OIDS.iter().any(|known| word.eq_ignore_ascii_case(known));
        known.then(|| if rest.trim_start().starts_with("[]") { Type::OID_ARRAY } else { Type::OID })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_objects_are_told_from_integers() {
        let sql = "SELECT 1 WHERE a = any($1::oid[]) AND b = $2 :: pg_catalog.OID AND c = $3::oidvector AND d = $4 AND e = $10::oid";
        assert_eq!((oid(sql, 1), oid(sql, 2)), (Some(Type::OID_ARRAY), Some(Type::OID)));
        assert_eq!((oid(sql, 3), oid(sql, 4), oid(sql, 10)), (None, None, Some(Type::OID)));
    }
}
