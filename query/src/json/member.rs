//! A member of a JSON value, as a store is asked about it: the way to it, and what its text must be.
//!
//! What must stay true: pure; a store may let through rows that SQL would not, where it says that it does, and never the other way round, so
//! that no store is asked about a member under NOT or IS. A test that is a first choice only is judged again whatever the store says.

use std::fmt;

use super::value::{self, Key};

/// A step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The member of an object with this name.
    Key(String),
    /// The element of an array at this place, counted from its end where it is negative.
    Element(i64),
}

/// What is asked of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MemberTest {
    /// Its text is one of these; never empty.
    TextIn(Vec<String>),
    /// It is there, and is not JSON's `null`.
    Present,
    /// A first choice: what fails this test is not wanted, and what passes it is judged again.
    First(Box<MemberTest>),
}

impl MemberTest {
    /// The texts that it may have; none where any will do.
    pub(crate) fn texts(&self) -> &[String] {
        match self {
            MemberTest::TextIn(texts) => texts,
            MemberTest::Present => &[],
            MemberTest::First(test) => test.texts(),
        }
    }

    /// Whether the member at the end of this path into a JSON text passes.
    pub(crate) fn passes(&self, json: &str, path: &[Step]) -> bool {
        let step = |value, step: &Step| match step {
            Step::Key(key) => value::get(value, Key::Member(key)),
            Step::Element(index) => value::get(value, Key::Element(*index)),
        };
        let text = path.iter().try_fold(json, step).and_then(value::text);
        match self {
            MemberTest::TextIn(texts) => text.is_some_and(|text| texts.iter().any(|wanted| *wanted == text)),
            MemberTest::Present => text.is_some(),
            MemberTest::First(test) => test.passes(json, path),
        }
    }
}

/// Of what a text can be the text, beside a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Of nothing.
    Nothing,
    /// Of a number or a truth value, which it then is in JSON too.
    Scalar,
    /// Of an object or an array.
    Container,
}

impl Beside {
    /// Of what `text` can be the text.
    pub(crate) fn string(text: &str) -> Beside {
        match (text, text.as_bytes().first()) {
            ("true" | "false", _) | (_, Some(b'-' | b'0'..=b'9')) => Beside::Scalar,
            (_, Some(b'{' | b'[')) => Beside::Container,
            _ => Beside::Nothing,
        }
    }
}

/// A test of a member of the column that is called `name`, for a reader of EXPLAIN.
pub(crate) struct Shown<'a> {
    pub(crate) name: &'a str,
    pub(crate) path: &'a [Step],
    pub(crate) test: &'a MemberTest,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        f.write_str(self.name)?;
        for (at, step) in self.path.iter().enumerate() {
            f.write_str(if at + 1 == self.path.len() { "->>" } else { "->" })?;
            match step {
                Step::Key(key) => f.write_str(&quoted(key))?,
                Step::Element(index) => write!(f, "{index}")?,
            }
        }
        match self.test {
            MemberTest::First(test) => fmt::Display::fmt(&Shown { name: "", path: &[], test }, f),
            MemberTest::Present => f.write_str(" IS NOT NULL"),
            MemberTest::TextIn(texts) => match texts.as_slice() {
                [text] => write!(f, " = {}", quoted(text)),
                texts => write!(f, " IN ({})", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_shown_as_sql_says_it() {
        let path = [Step::Key("o'x".into()), Step::Element(-1), Step::Key("b".into())];
        let shown = |test: &MemberTest| Shown { name: "metadata", path: &path, test }.to_string();
        assert_eq!(shown(&MemberTest::TextIn(vec!["7".into()])), "metadata->'o''x'->-1->>'b' = '7'");
        assert_eq!(shown(&MemberTest::TextIn(vec!["7".into(), "'".into()])), "metadata->'o''x'->-1->>'b' IN ('7', '''')");
        assert_eq!(shown(&MemberTest::Present), "metadata->'o''x'->-1->>'b' IS NOT NULL");
        assert_eq!(shown(&MemberTest::First(Box::new(MemberTest::Present))), "metadata->'o''x'->-1->>'b' IS NOT NULL");
    }

    #[test]
    fn a_text_is_judged_as_sql_judges_it() {
        let is = |text: &str| MemberTest::TextIn(vec!["other".into(), text.into()]);
        let (key, first) = (|name: &str| Step::Key(name.into()), Step::Element(0));
        let json = r#"{"a": {"b": "x", "n": 1.50, "e": 1e2, "z": null}, "l": ["x", null], "\u0061b": true}"#;
        for (path, test, wanted) in [
            (vec![key("a"), key("b")], is("x"), true),
            (vec![key("a"), key("n")], is("1.50"), true),
            (vec![key("a"), key("n")], is("1.5"), false),
            (vec![key("a"), key("e")], MemberTest::First(Box::new(is("1e2"))), true),
            (vec![key("ab")], is("true"), true),
            (vec![key("l"), first.clone()], is("x"), true),
            (vec![key("l"), key("0")], MemberTest::Present, false),
            (vec![key("l"), Step::Element(1)], MemberTest::Present, false),
            (vec![key("l")], MemberTest::Present, true),
            (vec![key("a"), key("z")], is("null"), false),
            (vec![key("a"), first], MemberTest::Present, false),
            (vec![key("nothing")], MemberTest::Present, false),
        ] {
            assert_eq!(test.passes(json, &path), wanted, "{path:?} {test:?}");
        }
        assert!(!MemberTest::Present.passes("no json", &[key("a")]));
    }

    #[test]
    fn a_text_tells_what_else_it_can_be_the_text_of() {
        for (text, wanted) in [
            ("", Beside::Nothing),
            ("null", Beside::Nothing),
            ("10.0.0.1", Beside::Scalar),
            ("-0", Beside::Scalar),
            ("true", Beside::Scalar),
            ("truer", Beside::Nothing),
            ("{}", Beside::Container),
            ("[1]", Beside::Container),
            (" 1", Beside::Nothing),
        ] {
            assert_eq!(Beside::string(text), wanted, "{text}");
        }
    }
}
