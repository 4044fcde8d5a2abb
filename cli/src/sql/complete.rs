//! What Tab offers: keywords, functions, schemas, tables, columns of the tables that the statement names, and commands.
//!
//! What must stay true: pure, a function of the buffer, the cursor and the catalog; nothing is offered inside a string or a
//! comment; what is offered can be typed as it is (a name that needs quotes has them). It guesses by the words before the
//! cursor and parses nothing: a wrong offer costs a key, so no statement is ever refused for it.

use wh_query::TableInfo;

use super::commands;
use super::statement::{Kind, Token, Tokens, in_word};

/// The schema whose tables need no schema before their name.
const DEFAULT_SCHEMA: &str = "ledger";

/// Keywords that are offered, the likeliest first, between commas; their words are also what can't be a table's alias.
const KEYWORDS: &str = "SELECT,FROM,WHERE,GROUP BY,ORDER BY,HAVING,LIMIT,OFFSET,JOIN,INNER JOIN,LEFT JOIN,RIGHT JOIN,FULL JOIN,CROSS JOIN,ON,USING,AS,\
    AND,OR,NOT,IN,EXISTS,BETWEEN,LIKE,ILIKE,IS NULL,IS NOT NULL,NULL,TRUE,FALSE,ALL,ASC,DESC,DISTINCT,CASE,WHEN,THEN,ELSE,END,CAST,EXTRACT,DATE,INTERVAL,\
    TIMESTAMP,FILTER,OVER,PARTITION BY,WINDOW,UNION,UNION ALL,EXCEPT,INTERSECT,WITH,VALUES,EXPLAIN,EXPLAIN ANALYZE,COPY,SET,SHOW,RESET";
/// Functions by name; full text first, since it is this database's own.
const FUNCTIONS: &[&str] = &["match(", "score()", "avg(", "coalesce(", "count(", "date_trunc(", "lower(", "max(", "min(", "now()", "round(", "sum("];
/// What `SET`, `SHOW` and `RESET` know: what is Wardhouse's own, what is set most, and the rest of docs/sql-reference.md, between commas.
const SETTINGS: &str = "wardhouse.read,wardhouse.unavailable,wardhouse.cache,wardhouse.pushdown,statement_timeout,TimeZone,search_path,application_name,bytea_output,\
    client_encoding,client_min_messages,DateStyle,default_transaction_deferrable,default_transaction_isolation,default_transaction_read_only,\
    escape_string_warning,extra_float_digits,idle_in_transaction_session_timeout,idle_session_timeout,in_hot_standby,integer_datetimes,\
    IntervalStyle,is_superuser,jit,lc_collate,lc_ctype,lc_messages,lock_timeout,max_identifier_length,max_index_keys,row_security,\
    server_encoding,server_version,server_version_num,session_authorization,standard_conforming_strings,transaction_deferrable,\
    transaction_isolation,transaction_read_only,xmloption";

/// Where the candidates are to be put, as a byte of `buffer`, and what they are, the likeliest first.
pub(super) fn candidates(buffer: &str, cursor: usize, tables: &[TableInfo]) -> (usize, Vec<String>) {
    let Some(before) = buffer.get(..cursor) else { return (cursor, Vec::new()) };
    if before.trim_start().starts_with('\\') {
        return command_candidates(before, tables);
    }
    let start = before.char_indices().rev().take_while(|(_, c)| in_word(*c)).last().map_or(cursor, |(index, _)| index);
    let prefix = &before[start..];
    let all: Vec<Token<'_>> = Tokens::of(buffer).collect();
    if prefix.starts_with(|c: char| c.is_ascii_digit()) || all.iter().any(|token| encloses(token, cursor)) {
        return (cursor, Vec::new());
    }
    let statement: Vec<Token<'_>> = statement_at(&all, cursor).into_iter().filter(|token| !token.is_comment()).collect();
    let written = statement.partition_point(|token| token.start < start);
    let (qualifier, preceding) = qualifier_before(&statement[..written]);

    let mut offers = Offers { prefix, found: Vec::new() };
    // What is being typed is not yet a name.
    let named: Vec<Token<'_>> = statement.iter().filter(|token| prefix.is_empty() || token.start != start).copied().collect();
    let mentions = mentions(&named, tables);
    if preceding.last().is_some_and(|token| ["set", "show", "reset"].iter().any(|word| token.is_word(word))) {
        offers.settings(&qualifier);
    } else if names_a_table(preceding) {
        match qualifier.last() {
            Some(schema) => offers.tables_of(schema, tables),
            None => offers.relations(tables),
        }
    } else if qualifier.is_empty() {
        offers.expression(&mentions, tables);
    } else {
        offers.members(&qualifier, &mentions, tables);
    }
    (start, offers.found)
}

/// Whether the cursor stands inside a string, a quoted name or a comment, where nothing is to be completed.
fn encloses(token: &Token<'_>, cursor: usize) -> bool {
    let open_end = token.kind == Kind::LineComment || !token.closed;
    !matches!(token.kind, Kind::Word | Kind::Symbol) && token.start < cursor && (cursor < token.end() || (open_end && cursor == token.end()))
}

/// The tokens of the statement that the cursor stands in.
fn statement_at<'a>(all: &[Token<'a>], cursor: usize) -> Vec<Token<'a>> {
    let first = all.iter().rposition(|token| token.is_symbol(";") && token.end() <= cursor).map_or(0, |index| index + 1);
    all[first..].iter().take_while(|token| !(token.is_symbol(";") && token.start >= cursor)).copied().collect()
}

/// The names before the last dots (`a.b.` gives `a`, `b`), and the tokens before them.
fn qualifier_before<'t, 'a>(before: &'t [Token<'a>]) -> (Vec<String>, &'t [Token<'a>]) {
    let mut left = before;
    let mut names = Vec::new();
    while let [rest @ .., name, dot] = left {
        if !(dot.is_symbol(".") && matches!(name.kind, Kind::Word | Kind::Quoted)) {
            break;
        }
        names.push(plain(name));
        left = rest;
    }
    names.reverse();
    (names, left)
}

/// Whether what follows these tokens is a table's name: after FROM or JOIN, or after a comma in a FROM list.
fn names_a_table(preceding: &[Token<'_>]) -> bool {
    let Some((last, rest)) = preceding.split_last() else { return false };
    if last.is_word("from") || last.is_word("join") {
        return true;
    }
    if !last.is_symbol(",") {
        return false;
    }
    let mut depth = 0_usize;
    for token in rest.iter().rev() {
        if token.is_symbol(")") {
            depth += 1;
        } else if token.is_symbol("(") {
            match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return false,
            }
        } else if depth == 0 && token.is_word("from") {
            return true;
        } else if depth == 0 && ["select", "where", "on", "by", "having", "using"].iter().any(|word| token.is_word(word)) {
            return false;
        }
    }
    false
}

/// A table that a statement reads, and the name that it has there.
struct Mention<'t> {
    table: &'t TableInfo,
    name: String,
}

/// The tables after FROM, JOIN and the commas of FROM, with their aliases; names that the catalog lacks are left out.
fn mentions<'t>(statement: &[Token<'_>], tables: &'t [TableInfo]) -> Vec<Mention<'t>> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut expected = false;
    while let Some(token) = statement.get(at) {
        at += 1;
        if token.is_word("from") || token.is_word("join") {
            expected = true;
            continue;
        }
        if !std::mem::take(&mut expected) || !matches!(token.kind, Kind::Word | Kind::Quoted) {
            continue;
        }
        let mut names = vec![plain(token)];
        while let [dot, name, ..] = &statement[at..] {
            if !(dot.is_symbol(".") && matches!(name.kind, Kind::Word | Kind::Quoted)) {
                break;
            }
            names.push(plain(name));
            at += 2;
        }
        at += usize::from(statement.get(at).is_some_and(|token| token.is_word("as")));
        let alias = statement.get(at).filter(|token| names_an_alias(token)).map(plain);
        at += usize::from(alias.is_some());
        if let Some(table) = lookup(&names, tables) {
            found.push(Mention { table, name: alias.unwrap_or_else(|| table.name.clone()) });
        }
        expected = statement.get(at).is_some_and(|token| token.is_symbol(","));
        at += usize::from(expected);
    }
    found
}

fn names_an_alias(token: &Token<'_>) -> bool {
    let is_keyword = |word: &str| KEYWORDS.split([',', ' ']).any(|keyword| keyword.eq_ignore_ascii_case(word));
    token.kind == Kind::Quoted || (token.kind == Kind::Word && !is_keyword(token.text))
}

fn lookup<'t>(names: &[String], tables: &'t [TableInfo]) -> Option<&'t TableInfo> {
    let (name, schemas) = names.split_last()?;
    let mut same_name = tables.iter().filter(|table| table.name.eq_ignore_ascii_case(name));
    match schemas.last() {
        Some(schema) => same_name.find(|table| table.schema.eq_ignore_ascii_case(schema)),
        None => same_name.find(|table| is_default(&table.schema)),
    }
}

fn is_default(schema: &str) -> bool {
    schema.eq_ignore_ascii_case(DEFAULT_SCHEMA)
}

/// A name as the catalog has it: without its quotes.
fn plain(token: &Token<'_>) -> String {
    match token.text.strip_prefix('"') {
        Some(inner) => inner.strip_suffix('"').unwrap_or(inner).replace("\"\"", "\""),
        None => token.text.to_owned(),
    }
}

/// A name as it must be typed: quoted unless it is plain lower case.
fn typed(name: &str) -> String {
    let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if first && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The candidates so far that begin with what is written, in any case, each once.
struct Offers<'p> {
    prefix: &'p str,
    found: Vec<String>,
}

impl Offers<'_> {
    fn begins(&self, name: &str) -> bool {
        name.get(..self.prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(self.prefix))
    }

    fn add(&mut self, begin: &str, offer: String) {
        if self.begins(begin) && !self.found.contains(&offer) {
            self.found.push(offer);
        }
    }

    fn add_all<'o>(&mut self, offers: impl IntoIterator<Item = &'o str>) {
        for offer in offers {
            self.add(offer, offer.to_owned());
        }
    }

    /// Settings, or what is left of their names behind the dots that stand there.
    fn settings(&mut self, qualifier: &[String]) {
        let before = if qualifier.is_empty() { String::new() } else { format!("{}.", qualifier.join(".")) };
        for setting in SETTINGS.split(',') {
            let named = setting.get(..before.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(&before));
            if let Some(rest) = setting.get(before.len()..).filter(|_| named) {
                self.add(rest, rest.to_owned());
            }
        }
    }

    fn tables_of(&mut self, schema: &str, tables: &[TableInfo]) {
        for table in tables.iter().filter(|table| table.schema.eq_ignore_ascii_case(schema)) {
            self.add(&table.name, typed(&table.name));
        }
    }

    fn columns_of(&mut self, table: &TableInfo) {
        for column in &table.columns {
            self.add(&column.name, typed(&column.name));
        }
    }

    /// Tables by their own name, those of other schemas with the schema before it, and the schemas.
    fn relations(&mut self, tables: &[TableInfo]) {
        for table in tables.iter().filter(|table| is_default(&table.schema)) {
            self.add(&table.name, typed(&table.name));
        }
        for table in tables {
            self.add(&table.schema, format!("{}.", typed(&table.schema)));
        }
        if !self.prefix.is_empty() {
            for table in tables.iter().filter(|table| !is_default(&table.schema)) {
                self.add(&table.name, format!("{}.{}", typed(&table.schema), typed(&table.name)));
            }
        }
    }

    fn expression(&mut self, mentions: &[Mention<'_>], tables: &[TableInfo]) {
        for mention in mentions {
            self.columns_of(mention.table);
        }
        for mention in mentions {
            self.add(&mention.name, typed(&mention.name));
        }
        if self.prefix.is_empty() && !mentions.is_empty() {
            return;
        }
        // In the case that is being typed.
        let lower = self.prefix.contains(char::is_lowercase);
        for keyword in KEYWORDS.split(',') {
            self.add(keyword, if lower { keyword.to_ascii_lowercase() } else { keyword.to_owned() });
        }
        self.add_all(FUNCTIONS.iter().copied());
        if !self.prefix.is_empty() {
            self.relations(tables);
        }
    }

    /// What stands behind a dot: the columns of a table or its alias, or the tables of a schema.
    fn members(&mut self, qualifier: &[String], mentions: &[Mention<'_>], tables: &[TableInfo]) {
        if let [name] = qualifier {
            for mention in mentions.iter().filter(|mention| mention.name.eq_ignore_ascii_case(name)) {
                self.columns_of(mention.table);
            }
            self.tables_of(name, tables);
        }
        if self.found.is_empty()
            && let Some(table) = lookup(qualifier, tables)
        {
            self.columns_of(table);
        }
    }
}

/// The names of commands, and of what follows them.
fn command_candidates(before: &str, tables: &[TableInfo]) -> (usize, Vec<String>) {
    let breaks = before.char_indices().rev().find(|(_, c)| c.is_whitespace() || *c == '\\');
    let start = breaks.map_or(0, |(index, c)| if c == '\\' { index } else { index + c.len_utf8() });
    let mut offers = Offers { prefix: &before[start..], found: Vec::new() };
    match before.split_whitespace().next() {
        Some(_) if offers.prefix.starts_with('\\') => offers.add_all(commands::NAMES),
        Some("\\d" | "\\dt") => match before[start..].rsplit_once('.') {
            Some((schema, name)) => {
                let mut inner = Offers { prefix: name, found: Vec::new() };
                inner.tables_of(schema, tables);
                return (start + schema.len() + 1, inner.found);
            }
            None => offers.relations(tables),
        },
        Some("\\format") => offers.add_all(commands::format_names().iter().map(String::as_str)),
        Some("\\timing") => offers.add_all(["on", "off"]),
        _ => {}
    }
    (start, offers.found)
}

#[cfg(test)]
mod tests;
