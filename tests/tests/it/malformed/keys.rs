//! Names of the known fields that are not quite the names, fields that are not there or there twice, and the signs between them.

use super::cases::{Corpus, Draft, Expected, OPTIONAL, REQUIRED, fields};

/// What becomes of a record without a field.
fn absent(field: &str) -> Expected {
    if OPTIONAL.contains(&field) { Expected::Accepted(None) } else { Expected::said(field, "missing") }
}

fn capitalised(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}

/// A name, and the key as it stands in the record instead of the field's: a reader that guesses would take it for the field.
fn near(field: &str) -> Vec<(&'static str, String)> {
    let camel: String = field.split('_').enumerate().map(|(at, word)| if at == 0 { word.to_owned() } else { capitalised(word) }).collect();
    let latin = ['a', 'c', 'e', 'o', 'p', 'x', 'y'];
    let cyrillic = ['а', 'с', 'е', 'о', 'р', 'х', 'у'];
    let homoglyph: String = field.chars().map(|letter| latin.iter().position(|l| *l == letter).map_or(letter, |at| cyrillic[at])).collect();
    let wide: String = field.chars().map(|letter| if letter.is_ascii_lowercase() { char::from_u32(u32::from(letter) + 0xfee0).unwrap() } else { letter }).collect();
    let keys = [
        ("in capitals", field.to_uppercase()),
        ("capitalised", capitalised(field)),
        ("in camel case", camel.clone()),
        ("in Pascal case", capitalised(&camel)),
        ("with hyphens", field.replace('_', "-")),
        ("with blanks", field.replace('_', " ")),
        ("with points", field.replace('_', ".")),
        ("without underscores", field.replace('_', "")),
        ("with a blank before it", format!(" {field}")),
        ("with a blank behind it", format!("{field} ")),
        ("with an escaped line feed behind it", format!("{field}\\n")),
        ("with a byte order mark before it", format!("\u{feff}{field}")),
        ("with a zero-width joiner inside", format!("{}\u{200d}{}", &field[..2], &field[2..])),
        ("with an accent on it", format!("{field}\u{301}")),
        ("in homoglyphs", homoglyph),
        ("in full-width letters", wide),
        ("in the plural", format!("{field}s")),
        ("cut short", field[..field.len() - 1].to_owned()),
        ("as a path", format!("$.{field}")),
        ("prefixed", format!("transaction.{field}")),
    ];
    // A word of one part is the same in some of these forms.
    keys.into_iter().filter(|(_, key)| key != field).collect()
}

/// What the text of a member becomes, of its name and its value.
type Sign = fn(&str, &str) -> String;
/// What goes wrong with the signs of one member: a name, and what its text becomes.
const SIGNS: &[(&str, Sign)] = &[
    ("no colon", |key, value| format!("{key} {value}")),
    ("an equals sign", |key, value| format!("{key}={value}")),
    ("two colons", |key, value| format!("{key}::{value}")),
    ("a comma for the colon", |key, value| format!("{key},{value}")),
    ("no quotes around its name", |key, value| format!("{}:{value}", key.trim_matches('"'))),
    ("no quote before its name", |key, value| format!("{}:{value}", &key[1..])),
    ("no quote behind its name", |key, value| format!("{}:{value}", &key[..key.len() - 1])),
    ("single quotes around its name", |key, value| format!("'{}':{value}", key.trim_matches('"'))),
    ("a semicolon behind it", |key, value| format!("{key}:{value};")),
    ("two commas behind it", |key, value| format!("{key}:{value},,\"last\":0")),
    ("a bracket behind it", |key, value| format!("{key}:{value}]")),
    ("a brace behind it", |key, value| format!("{key}:{value}}}")),
    ("a comment behind it", |key, value| format!("{key}:{value} // why")),
    ("a backslash before it", |key, value| format!("\\{key}:{value}")),
    ("a name without a value", |key, _| key.to_owned()),
    ("a value without a name", |_, value| value.to_owned()),
    ("a number for its name", |_, value| format!("7:{value}")),
    ("null for its name", |_, value| format!("null:{value}")),
];

pub(super) fn add(corpus: &mut Corpus) {
    for field in fields() {
        corpus.draft(format!("{field}: left out"), &corpus.good().without(&[field]), absent(field));
        for (name, key) in near(field) {
            corpus.draft(format!("{field}: its name {name}"), &corpus.good().renamed(field, &format!("\"{key}\"")), absent(field));
        }
        let escaped: String = field.chars().map(|letter| format!("\\u{:04x}", u32::from(letter))).collect();
        corpus.draft(format!("{field}: its name in escapes"), &corpus.good().renamed(field, &format!("\"{escaped}\"")), Expected::Accepted(None));
        corpus.draft(format!("{field}: blanks around its colon"), &corpus.good().renamed(field, &format!("\n\t\"{field}\" \r\n")), Expected::Accepted(None));
        for (name, key, code) in [
            ("U+0000 in its name", format!("\"{field}\\u0000\""), "record:nul_character"),
            ("a lone surrogate in its name", format!("\"{field}\\udc00\""), "record:invalid_json"),
            ("a raw line feed in its name", format!("\"{field}\n\""), "record:invalid_json"),
            ("a byte that is none in its name", format!("\"{field}<<hex ff>>\""), "record:invalid_utf8"),
        ] {
            corpus.draft(format!("{field}: {name}"), &corpus.good().renamed(field, &key), Expected::said(field, code));
        }
        twice(corpus, field, &escaped);
        for (name, written) in SIGNS {
            let draft = corpus.good();
            let members: Vec<String> = draft.0.iter().map(|(key, value)| if key.trim_matches('"') == field { written(key, value) } else { format!("{key}:{value}") }).collect();
            corpus.bytes(format!("{field}: {name}"), format!("{{{}}}", members.join(",")).into_bytes(), Expected::invalid_json());
        }
    }
    for (at, first) in REQUIRED.iter().enumerate() {
        for second in &REQUIRED[at + 1..] {
            let mut classes = [format!("{first}:missing"), format!("{second}:missing")];
            classes.sort();
            corpus.draft(format!("{first} and {second}: left out"), &corpus.good().without(&[*first, *second]), Expected::Letter(classes.join(",")));
        }
    }
    let mut all = REQUIRED.map(|field| format!("{field}:missing"));
    all.sort();
    corpus.draft("every field left out".to_owned(), &Draft(Vec::new()), Expected::Letter(all.join(",")));
    corpus.draft("every field null".to_owned(), &Draft(fields().map(|field| (format!("\"{field}\""), "null".to_owned())).collect()), Expected::Letter(all.join(",")));
    let mut reversed = corpus.good();
    reversed.0.reverse();
    corpus.draft("the fields in another order".to_owned(), &reversed, Expected::Accepted(None));
}

/// A field that is there twice says nothing: which of the two would count is the reader's guess.
fn twice(corpus: &mut Corpus, field: &str, escaped: &str) {
    let (key, value) = corpus.good().0.into_iter().find(|(key, _)| key.trim_matches('"') == field).unwrap();
    for (name, again, other) in [
        ("twice, the same", key.clone(), value.clone()),
        ("twice, null then", key.clone(), "null".to_owned()),
        ("twice, another then", key.clone(), "\"another\"".to_owned()),
        ("twice, once in escapes", format!("\"{escaped}\""), value.clone()),
    ] {
        let mut draft = corpus.good();
        draft.0.push((again, other));
        corpus.draft(format!("{field}: {name}"), &draft, Expected::Letter("record:duplicate_key".to_owned()));
    }
}
