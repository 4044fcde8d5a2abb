//! What is said of a function that there is not: the name that was probably meant, what to write in place of one that other databases have, or that it is not here.
//!
//! What must stay true: pure; a name is suggested only where it is really near, so that nobody is sent to a function that does something else.

use datafusion::common::utils::datafusion_strsim::levenshtein;

use crate::errors::QueryError;

/// Functions that make no sense without a window.
pub(crate) const OF_WINDOWS: [&str; 8] = ["row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead"];

/// Functions of PostgreSQL and of other databases that are not here, and what to write instead.
const ABSENT: [(&str, &str); 27] = [
    ("pg_sleep", ""),
    ("width_bucket", "floor((x - low) / width) numbers buckets"),
    ("mode", "group by the value and ORDER BY count(*) DESC LIMIT 1"),
    ("percentile_disc", "percentile_cont(0.5) WITHIN GROUP (ORDER BY x) is here"),
    ("justify_hours", ""),
    ("justify_days", ""),
    ("justify_interval", ""),
    ("make_interval", "write interval '1 day 2 hours'"),
    ("make_timestamp", "write timestamptz '2026-10-01 03:00:00'"),
    ("make_timestamptz", "write timestamptz '2026-10-01 03:00:00'"),
    ("age", "subtract one time from the other"),
    ("clock_timestamp", "now() is the time of the statement"),
    ("statement_timestamp", "now() is the time of the statement"),
    ("getdate", "now() is the time of the statement"),
    ("sysdate", "now() is the time of the statement"),
    ("dateadd", "write timestamp + interval '1 day'"),
    ("date_add", "write timestamp + interval '1 day'"),
    ("datediff", "subtract one time from the other"),
    ("isnull", "coalesce(x, 0), or x IS NULL"),
    ("charindex", "strpos(text, part) is here"),
    ("len", "length(x) is here"),
    ("json_agg", "array_agg(x) is here"),
    ("jsonb_agg", "array_agg(x) is here"),
    ("to_tsvector", "match(message, 'words') searches search.alerts"),
    ("to_tsquery", "match(message, 'words') searches search.alerts"),
    ("plainto_tsquery", "match(message, 'words') searches search.alerts"),
    ("ts_rank", "score() is the relevance of a row of search.alerts"),
];

/// What is said of `name()`, `like` being the name that is nearest of all.
pub(crate) fn function(name: &str, like: Option<&str>, line: Option<u64>, column: Option<u64>) -> QueryError {
    let known = name.to_ascii_lowercase();
    if OF_WINDOWS.contains(&known.as_str()) {
        return over(&known, line, column);
    }
    if let Some((_, hint)) = ABSENT.iter().find(|(absent, _)| *absent == known) {
        let hint = (!hint.is_empty()).then(|| (*hint).to_owned());
        return QueryError::Invalid { message: format!("the function {name}() is not available here"), line, column, hint };
    }
    let allowed = (known.chars().count() / 3).clamp(1, 2);
    let nearest = like.filter(|like| levenshtein(&like.to_lowercase(), &known) <= allowed).map(str::to_owned).into_iter().collect();
    QueryError::Unknown { what: "function", name: format!("{name}()"), nearest, line, column }
}

/// What is said of a function of windows without one.
pub(crate) fn over(name: &str, line: Option<u64>, column: Option<u64>) -> QueryError {
    let message = format!("{name} is a window function: it needs OVER (…)");
    let hint = format!("for example: {name}({}) OVER (PARTITION BY user_id ORDER BY timestamp)", if matches!(name, "lag" | "lead") { "amount" } else { "" });
    QueryError::Invalid { message, line, column, hint: Some(hint) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        for (name, like, said) in [
            ("lenght", "length", "there is no function lenght(); did you mean length?"),
            ("uper", "upper", "there is no function uper(); did you mean upper?"),
            ("foo", "pow", "there is no function foo()"),
            ("widht_of", "list_cat", "there is no function widht_of()"),
        ] {
            let error = function(name, Some(like), None, None);
            assert_eq!((error.to_string().as_str(), error.sqlstate()), (said, "42883"));
        }
    }

    #[test]
    fn what_is_known_to_be_absent_is_told_so() {
        for name in ["pg_sleep", "WIDTH_BUCKET", "mode", "percentile_disc", "justify_hours"] {
            let error = function(name, Some("md5"), Some(1), Some(8));
            assert!(error.sqlstate() == "42883" && error.headline().ends_with("is not available here"), "{error}");
        }
        let error = function("rank", Some("rand"), None, None);
        assert_eq!((error.headline().as_str(), error.sqlstate()), ("rank is a window function: it needs OVER (…)", "42809"));
    }
}
