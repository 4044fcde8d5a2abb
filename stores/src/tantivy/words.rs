//! The words of a text by UAX #29, cut as Lucene's `standard` tokenizer cuts them, so that Tantivy and Elasticsearch find the same.
//!
//! What must stay true: an ideograph and a syllable of Hiragana is a word of its own; a run of Thai, Lao, Khmer or Burmese is one word;
//! a pictograph is a word; a word of more than 255 UTF-16 units is cut there. Tables and rules never follow a newer Unicode by
//! themselves, as those of a crate would: a text must be cut when it is searched as it was cut when it was written.
//!
//! A tokenizer of crate `unicode-segmentation` splits runs of Thai, drops pictographs, keeps `²`, and does not tell the class of a character.

use std::sync::LazyLock;

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Longest word, in UTF-16 units: Lucene's `max_token_length`.
const LONGEST: usize = 255;

/// What a character does to the words around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// It ends a word.
    Other,
    Letter,
    Hebrew,
    Digit,
    Katakana,
    /// The underscore and its like, inside and around words.
    Joiner,
    /// Inside a word between letters.
    MidLetter,
    /// Inside a word between digits.
    MidNumber,
    /// Inside a word between letters and between digits.
    MidBoth,
    /// The apostrophe: as `MidBoth`, and behind a Hebrew letter.
    Quote,
    /// Between Hebrew letters.
    DoubleQuote,
    /// It belongs to the character before it.
    Mark,
    /// A word of its own.
    Single,
    /// A letter of a script without spaces between words.
    Asian,
    /// Such a letter, which belongs to the character before it where that is of another script.
    AsianMark,
    Pictograph,
    /// The colour of a skin.
    Modifier,
    /// Half of a flag.
    Flag,
    /// Not in the table: the end of a Hebrew abbreviation.
    Closed,
}

impl Class {
    fn named(name: &str) -> Class {
        match name {
            "Letter" => Class::Letter,
            "Hebrew" => Class::Hebrew,
            "Digit" => Class::Digit,
            "Katakana" => Class::Katakana,
            "Joiner" => Class::Joiner,
            "MidLetter" => Class::MidLetter,
            "MidNumber" => Class::MidNumber,
            "MidBoth" => Class::MidBoth,
            "Quote" => Class::Quote,
            "DoubleQuote" => Class::DoubleQuote,
            "Mark" => Class::Mark,
            "Single" => Class::Single,
            "Asian" => Class::Asian,
            "AsianMark" => Class::AsianMark,
            "Pictograph" => Class::Pictograph,
            "Modifier" => Class::Modifier,
            "Flag" => Class::Flag,
            _ => Class::Other,
        }
    }

    fn of(c: char) -> Class {
        let table = &*TABLE;
        let code = u32::from(c);
        if let Some(class) = usize::try_from(code).ok().and_then(|code| table.ascii.get(code)) {
            return *class;
        }
        let behind = table.ranges.partition_point(|(first, _, _)| *first <= code);
        let range = behind.checked_sub(1).and_then(|at| table.ranges.get(at));
        range.filter(|(_, last, _)| code <= *last).map_or(Class::Other, |(_, _, class)| *class)
    }

    fn is_letter(self) -> bool {
        matches!(self, Class::Letter | Class::Hebrew)
    }
}

struct Table {
    ascii: [Class; 128],
    ranges: Vec<(u32, u32, Class)>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut ranges = Vec::with_capacity(800);
    for line in include_str!("word_break.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut parts = line.split(' ');
        let class = Class::named(parts.next().unwrap_or_default());
        for part in parts {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            if let (Ok(first), Ok(last)) = (u32::from_str_radix(first, 16), u32::from_str_radix(last, 16)) {
                ranges.push((first, last, class));
            }
        }
    }
    ranges.sort_unstable_by_key(|(first, _, _)| *first);
    let mut ascii = [Class::Other; 128];
    for (code, class) in (0..).zip(&mut ascii) {
        *class = ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&code)).map_or(Class::Other, |(_, _, class)| *class);
    }
    Table { ascii, ranges }
});

/// The start of a text in which its first word ends.
fn window(text: &str) -> &str {
    if text.len() <= LONGEST {
        return text;
    }
    let mut units = 0;
    let end = text.char_indices().find(|(_, c)| {
        units += c.len_utf16();
        units > LONGEST
    });
    end.map_or(text, |(end, _)| &text[..end])
}

/// The class of the character at a place, and the place behind it and its marks.
fn step(text: &str, at: usize) -> Option<(Class, usize)> {
    let mut rest = text[at..].chars();
    let class = Class::of(rest.next()?);
    let mut behind = text.len() - rest.as_str().len();
    for c in rest {
        if !matches!(Class::of(c), Class::Mark | Class::AsianMark | Class::Modifier) {
            break;
        }
        behind += c.len_utf8();
    }
    Some((class, behind))
}

/// Where the word ends that begins a text, if one does.
fn word(text: &str) -> Option<usize> {
    let text = window(text);
    let (first, behind) = step(text, 0)?;
    match first {
        Class::Letter | Class::Hebrew | Class::Digit | Class::Katakana | Class::Joiner => joined(text, first, behind),
        Class::Single => Some(behind),
        Class::Asian | Class::AsianMark => Some(run(text, behind)),
        Class::Pictograph | Class::Modifier => Some(pictograph(text, behind)),
        Class::Flag => step(text, behind).filter(|(class, _)| *class == Class::Flag).map(|(_, behind)| behind),
        _ => {
            let keycap = text.starts_with(['#', '*']) && ["\u{20e3}", "\u{fe0f}\u{20e3}"].iter().any(|marks| text[1..].starts_with(marks));
            keycap.then_some(behind)
        }
    }
}

/// Rules WB5 to WB13 of UAX #29. A word of joiners alone is none.
fn joined(text: &str, first: Class, behind: usize) -> Option<usize> {
    let (mut before, mut end, mut worded) = (first, behind, first != Class::Joiner);
    while let Some((class, behind)) = step(text, end) {
        let beyond = |wanted: fn(Class) -> bool, class: Class| step(text, behind).filter(|(next, _)| wanted(*next)).map(|(_, behind)| (class, behind));
        let next = match (before, class) {
            (Class::Katakana, Class::Letter | Class::Hebrew | Class::Digit) => None,
            (_, Class::Letter | Class::Hebrew | Class::Digit | Class::Joiner) | (Class::Katakana | Class::Joiner, Class::Katakana) => Some((class, behind)),
            (Class::Hebrew, Class::Quote) => Some((Class::Closed, behind)),
            (Class::Hebrew, Class::DoubleQuote) => beyond(|next| next == Class::Hebrew, Class::Closed),
            (Class::Letter | Class::Hebrew, Class::MidLetter | Class::MidBoth | Class::Quote) => beyond(Class::is_letter, Class::Letter),
            (Class::Digit, Class::MidNumber | Class::MidBoth | Class::Quote) => beyond(|next| next == Class::Digit, Class::Digit),
            _ => None,
        };
        let Some((class, behind)) = next else { break };
        worded |= class != Class::Joiner;
        (before, end) = (class, behind);
    }
    worded.then_some(end)
}

/// The end of a run of letters of a script without spaces.
fn run(text: &str, mut end: usize) -> usize {
    while let Some((Class::Asian | Class::AsianMark, behind)) = step(text, end) {
        end = behind;
    }
    end
}

/// The end of a pictograph and of those that are joined to it.
fn pictograph(text: &str, mut end: usize) -> usize {
    while text[..end].ends_with('\u{200d}')
        && let Some((Class::Pictograph, behind)) = step(text, end)
    {
        end = behind;
    }
    end
}

/// The tokenizer.
#[derive(Clone, Default)]
pub(super) struct Words {
    token: Token,
}

/// The words of one text.
pub(super) struct WordStream<'a> {
    text: &'a str,
    at: usize,
    token: &'a mut Token,
}

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        WordStream { text, at: 0, token: &mut self.token }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        loop {
            let rest = &self.text[self.at..];
            let Some(first) = rest.chars().next() else { return false };
            let Some(length) = word(rest) else {
                self.at += first.len_utf8();
                continue;
            };
            self.token.text.clear();
            // Its lower case is two characters in Unicode, and one in Lucene.
            self.token.text.extend(rest[..length].chars().map(|c| if c == 'İ' { 'i' } else { c }));
            self.token.position = self.token.position.wrapping_add(1);
            self.token.offset_from = self.at;
            self.token.offset_to = self.at + length;
            self.at += length;
            return true;
        }
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        Words::default().token_stream(text).process(&mut |token| {
            assert_eq!(token.position, found.len());
            found.push(text[token.offset_from..token.offset_to].to_owned());
        });
        found
    }

    #[test]
    fn the_table_is_read_whole() {
        assert_eq!(TABLE.ranges.len(), 798);
        assert!(TABLE.ranges.windows(2).all(|pair| pair[0].1 < pair[1].0) && TABLE.ranges.iter().all(|(first, last, class)| first <= last && *class != Class::Other));
        assert_eq!(
            [Class::of('a'), Class::of('9'), Class::of('ß'), Class::of('²'), Class::of('\u{10ffff}')],
            [Class::Letter, Class::Digit, Class::Letter, Class::Other, Class::Other]
        );
    }

    // What Elasticsearch 9.4 answers to `_analyze` with the tokenizer `standard`.
    #[test]
    fn words_are_cut_as_lucene_cuts_them() {
        for (text, wanted) in [
            ("U-0012's user_id: 12,345.67 at 03:12", "U|0012|s|user_id|12,345.67|at|03|12"),
            ("can't don’t O'Neil's 'quoted' e-mail@x.com", "can't|don’t|O'Neil's|quoted|e|mail|x.com"),
            ("3.14abc abc.def a.1 1.a 1'000 1,,2 1;2 a''b a:b __x _ 1_2", "3.14abc|abc.def|a|1|1|a|1'000|1|2|1;2|a|b|a:b|__x|1_2"),
            ("m² ① Ⓐ １２ ½ Ⅻ ʹ ˂a", "m|Ⓐ|１２|Ⅻ|ʹ|˂a"),
            ("日本語テキスト ひら ｶﾀｶﾅ 한국어 中a文1", "日|本|語|テキスト|ひ|ら|ｶﾀｶﾅ|한국어|中|a|文|1"),
            ("ภาษาไทย မြန်မာ ไทยabc 1่2", "ภาษาไทย|မြန်မာ|ไทย|abc|1่2"),
            ("😀😀 👨‍👩‍👧 🇩🇪🇫🇷 🇩 1️⃣ #️⃣ ❤️ 👍🏽 a😀b ★ →", "😀|😀|👨‍👩‍👧|🇩🇪|🇫🇷|1️⃣|#️⃣|❤️|👍🏽|a|😀|b|★"),
            ("e\u{301}te\u{301} a\u{200d}b a\u{200b}b \u{301}a", "e\u{301}te\u{301}|a\u{200d}b|a|b|a"),
            ("צה\"ל ג'ון א' א\" ב'א' aא.א'", "צה\"ל|ג'ון|א'|א|ב'א'|aא.א"),
            ("", ""),
            (" -- \"\" …\n", ""),
        ] {
            assert_eq!(words(text).join("|"), wanted, "{text}");
        }
    }

    #[test]
    fn a_long_word_is_cut() {
        let lengths = |text: &str| words(text).iter().map(|word| word.chars().count()).collect::<Vec<_>>();
        assert_eq!(lengths(&"a".repeat(600)), [255, 255, 90]);
        assert_eq!(lengths(&"é".repeat(300)), [255, 45]);
        assert_eq!(lengths(&"\u{1d400}".repeat(200)), [127, 73]);
        assert_eq!(lengths(&format!("{}'b", "a".repeat(254))), [254, 1]);
        assert_eq!(lengths(&format!("{}a", "_".repeat(400))), [255]);
    }
}
