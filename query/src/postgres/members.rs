//! From tests of members of a transaction's metadata to PostgreSQL's SQL.
//!
//! What must stay true: pure; paths and texts are bound. Where metadata stands as text too, `jsonb` may not say what that says, and may not be
//! there: such rows are let through. Of all others `jsonb` gives every string and number as it was written, and what has parts with blanks
//! between them.

use super::dialect::Sql;
use super::tables::{Kind, Table};
use crate::json::{Beside, MemberTest, Step};
use crate::predicate::Value;

/// Whether PostgreSQL can be asked. U+0000 is in no text of its own, and U+0001 is bound as something else.
pub(super) fn can_be_asked(table: &Table, column: usize, path: &[Step], test: &MemberTest) -> bool {
    let plain = |text: &str| !text.contains(['\0', '\u{1}']);
    let keys = path.iter().all(|step| if let Step::Key(key) = step { plain(key) } else { true });
    keys && table.document(column).is_some() && test.texts().iter().all(|text| plain(text))
}

/// Appends the condition. `None` where PostgreSQL cannot be asked, which `can_be_asked` has said before.
pub(super) fn write(table: &Table, column: usize, path: &[Step], test: &MemberTest, sql: &mut Sql) -> Option<()> {
    let [json, text] = table.document(column)?;
    let step = |step: &Step| match step {
        Step::Key(key) => Value::Text(key.clone()),
        Step::Element(index) => Value::Text(index.to_string()),
    };
    let path = sql.place_list(Kind::Text, path.iter().map(step).collect());
    sql.push(&format!("({json} #>> {path}"));
    let texts = test.texts();
    if texts.is_empty() {
        sql.push(" IS NOT NULL");
    } else {
        sql.push(" = ANY(");
        sql.bind_list(Kind::Text, texts.iter().cloned().map(Value::Text).collect());
        sql.push(")");
        if texts.iter().any(|text| Beside::string(text) == Beside::Container) {
            sql.push(&format!(" OR jsonb_typeof({json} #> {path}) IN ('object', 'array')"));
        }
    }
    sql.push(&format!(" OR {text} IS NOT NULL)"));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::dialect::{select, support};
    use super::super::tables::ledger;
    use super::*;
    use crate::predicate::Predicate;
    use crate::table::{Request, Support};

    fn transactions() -> Table {
        ledger().swap_remove(0)
    }

    fn member(column: &str, path: &[Step], test: MemberTest) -> Predicate {
        Predicate::Member { column: transactions().shape.index_of(column).unwrap(), path: path.to_vec(), test }
    }

    fn key(key: &str) -> Step {
        Step::Key(key.to_owned())
    }

    fn asked(predicate: Predicate) -> String {
        let table = transactions();
        assert_eq!(support(&table, &predicate), Support::Inexact, "{predicate:?}");
        let request = Request { projection: vec![table.shape.index_of("seq").unwrap()], predicates: vec![predicate], order: Vec::new(), limit: None, parts: 1 };
        let sql = select(&table, &request, &[], None).unwrap();
        sql.arguments().unwrap();
        sql.shown().split_once(" WHERE ").unwrap().1.to_owned()
    }

    #[test]
    fn members_are_asked_about_by_their_bound_path() {
        let is = |texts: &[&str]| MemberTest::TextIn(texts.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(
            asked(member("metadata", &[key("o'x"), Step::Element(-2), key("b.c")], is(&["x", "7"]))),
            "(\"metadata\" #>> $1 = ANY($2) OR \"metadata_text\" IS NOT NULL) [$1={'o''x', '-2', 'b.c'}, $2={'x', '7'}]"
        );
        assert_eq!(
            asked(member("metadata", &[key("a")], is(&["{}"]))),
            "(\"metadata\" #>> $1 = ANY($2) OR jsonb_typeof(\"metadata\" #> $1) IN ('object', 'array') OR \"metadata_text\" IS NOT NULL) [$1={'a'}, $2={'{}'}]"
        );
        let either = Predicate::Or(vec![member("metadata", &[key("")], MemberTest::Present), Predicate::Flag { column: transactions().shape.index_of("is_anomaly").unwrap() }]);
        assert_eq!(asked(either), "((\"metadata\" #>> $1 IS NOT NULL OR \"metadata_text\" IS NOT NULL) OR \"is_anomaly\") [$1={''}]");
    }

    #[test]
    fn what_postgresql_cannot_be_asked_is_not() {
        let no = |predicate: Predicate| assert_eq!(support(&transactions(), &predicate), Support::No, "{predicate:?}");
        no(member("metadata", &[key("a\0")], MemberTest::Present));
        no(member("metadata", &[key("a")], MemberTest::TextIn(vec!["\u{1}".into()])));
        no(member("detection_rules", &[Step::Element(0)], MemberTest::Present));
        no(member("description", &[key("a")], MemberTest::Present));
        no(member("metadata", &[key("a")], MemberTest::Present).negated());
    }
}
