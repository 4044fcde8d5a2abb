//! A member of a JSON value, as a store is asked about it: the way to it, and what its text must be.
//!
//! What must stay true: pure; what is asked is a first choice and no more. A store may let through rows that SQL would not, and never the
//! other way round: whatever it gives is judged again above it, so no store is asked about a member under NOT or IS.

use std::fmt;

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
}

impl MemberTest {
    /// The texts that it may have; none where any will do.
    pub(crate) fn texts(&self) -> &[String] {
        match self {
            MemberTest::TextIn(texts) => texts,
            MemberTest::Present => &[],
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
