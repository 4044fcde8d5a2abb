//! What a setting's value may be, and how it is written.
//!
//! What must stay true: pure; a value that is taken is kept as SHOW gives it.

use std::time::Duration;

use chrono_tz::{TZ_VARIANTS, Tz};

use super::Defaults;
use super::known::{Kind, Known};
use crate::errors::{QueryError, nearest};

/// The value as it is kept.
pub(super) fn checked(known: &Known, value: &str, defaults: &Defaults) -> Result<String, QueryError> {
    let name = known.name;
    let wrong = |message: String| QueryError::Setting { message, hint: None, known: true };
    let trimmed = value.trim();
    match known.kind {
        // As long as a name in PostgreSQL.
        Kind::Text => Ok(value.chars().take(63).collect()),
        Kind::Fixed | Kind::Principal => {
            let same = trimmed == known.default || (known.kind == Kind::Principal && trimmed == defaults.principal);
            if same { Ok(trimmed.to_owned()) } else { Err(wrong(format!("{name} cannot be changed"))) }
        }
        Kind::OneOf(values) => {
            let said = truth(trimmed).filter(|_| values.contains(&"on")).unwrap_or(trimmed);
            let found = values.iter().find(|known| known.eq_ignore_ascii_case(said));
            found.map(|known| (*known).to_owned()).ok_or_else(|| {
                let quoted: Vec<String> = values.iter().map(|known| format!("'{known}'")).collect();
                wrong(format!("{name} is {}", quoted.join(" or ")))
            })
        }
        Kind::Flag => truth(trimmed).map(str::to_owned).ok_or_else(|| wrong(format!("{name} is on or off"))),
        Kind::Integer(least, most) => match trimmed.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(number.to_string()),
            _ => Err(wrong(format!("{name} is an integer from {least} to {most}"))),
        },
        Kind::Timeout | Kind::Idle => duration(trimmed).map(shown).ok_or_else(|| wrong(format!("{name} is a duration: 500ms, 5s, 1min, or milliseconds; 0 is none"))),
        Kind::Zone => zone(trimmed).map(|zone| zone.name().to_owned()),
        Kind::Encoding => match trimmed.replace(['-', '_'], "").to_ascii_uppercase().as_str() {
            "UTF8" | "UNICODE" => Ok("UTF8".to_owned()),
            _ => Err(wrong(format!("{name} is UTF8, not {trimmed}"))),
        },
        Kind::DateStyle => date_style(trimmed).ok_or_else(|| wrong(format!("{name} is ISO, with MDY, DMY or YMD"))),
        Kind::Path => {
            for schema in parts(trimmed) {
                if !is_schema(&schema, &defaults.schemas) {
                    let like = nearest(&schema, &defaults.schemas);
                    let hint = (!like.is_empty()).then(|| format!("did you mean {}?", like.join(", ")));
                    return Err(QueryError::Setting { message: format!("there is no schema {schema}"), hint, known: true });
                }
            }
            Ok(trimmed.to_owned())
        }
    }
}

/// A time zone by its name, whatever its case.
pub(crate) fn zone(name: &str) -> Result<Tz, QueryError> {
    let found = name.parse::<Tz>().ok().or_else(|| TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(name)).copied());
    found.ok_or_else(|| QueryError::Setting { message: format!("there is no time zone {name:?}"), hint: Some("write it as in Europe/Berlin or UTC".to_owned()), known: true })
}

/// `on` or `off`, as PostgreSQL reads truth values.
fn truth(value: &str) -> Option<&'static str> {
    match value.to_ascii_lowercase().as_str() {
        "on" | "true" | "t" | "yes" | "y" | "1" => Some("on"),
        "off" | "false" | "f" | "no" | "n" | "0" => Some("off"),
        _ => None,
    }
}

/// Units, the greatest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// A duration as PostgreSQL reads it: a number and its unit; milliseconds where there is none.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let millis = match unit.trim() {
        "" => number,
        "us" => number.div_ceil(1_000),
        unit => number.checked_mul(UNITS.iter().find(|(name, _)| *name == unit)?.1)?,
    };
    // As in PostgreSQL, at most some 24 days.
    (millis <= u64::from(u32::MAX >> 1)).then(|| Duration::from_millis(millis))
}

/// A duration in the greatest unit that says it exactly.
pub(super) fn shown(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0".to_owned();
    }
    let (unit, size) = UNITS.into_iter().find(|(_, size)| millis.is_multiple_of(*size)).unwrap_or(("ms", 1));
    format!("{}{unit}", millis / size)
}

fn date_style(value: &str) -> Option<String> {
    let mut order = "MDY";
    let parts: Vec<String> = value.split(',').map(|part| part.trim().to_ascii_uppercase()).collect();
    for part in &parts {
        match part.as_str() {
            "ISO" => {}
            "MDY" | "US" | "NONEURO" | "NONEUROPEAN" => order = "MDY",
            "DMY" | "EURO" | "EUROPEAN" => order = "DMY",
            "YMD" => order = "YMD",
            _ => return None,
        }
    }
    Some(format!("ISO, {order}"))
}

/// The names of a path: without quotes in lower case.
fn parts(path: &str) -> Vec<String> {
    let part = |part: &str| {
        let part = part.trim();
        match part.strip_prefix('"').and_then(|part| part.strip_suffix('"')) {
            Some(quoted) => quoted.to_owned(),
            None => part.to_ascii_lowercase(),
        }
    };
    path.split(',').map(part).filter(|part| !part.is_empty()).collect()
}

/// Whether a path may name it. Some are always named and hold nothing here.
fn is_schema(name: &str, schemas: &[String]) -> bool {
    matches!(name, "$user" | "public" | "pg_catalog" | "information_schema" | "pg_temp") || schemas.iter().any(|schema| schema == name)
}

/// The schemas of a path in which something can be found.
pub(super) fn path(path: &str, schemas: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for part in parts(path) {
        if schemas.contains(&part) && !found.contains(&part) {
            found.push(part);
        }
    }
    found
}
