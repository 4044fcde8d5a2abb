//! What a ruleset must mean beyond its types: levels and caps as the design fixes them, limits that rise, priors that can be
//! divided by, rules that compile and keep within their dimension.
//!
//! What must stay true: every finding names the setting by its path in the file and says what would be right.

use serde_json::Value;
use wh_schemas::TransactionType;
use wh_schemas::scored::Dimension;
use wh_schemas::validate::DEFAULT_LABEL_KEYS;

use super::compiled::CompiledRules;
use super::team::TeamRule;
use crate::engine::{BUILT_IN_RULES, Ruleset};

/// Most limits, metadata keys and team rules: each costs every record a little.
const MOST_LIMITS: usize = 32;
const MOST_KEYS: usize = 32;
const MOST_RULES: usize = 100;

/// Something that a ruleset should not mean.
#[derive(Debug)]
pub(super) struct Finding {
    /// The setting.
    pub(super) path: String,
    /// First byte of the setting's text that is meant.
    pub(super) offset: Option<usize>,
    /// Whether the name is meant rather than the value.
    pub(super) at_key: bool,
    /// What is wrong, and what would be right.
    pub(super) message: String,
}

/// Collects findings.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn tell(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Finding { path: path.into(), offset: None, at_key: false, message: message.into() });
    }

    fn tell_key(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Finding { path: path.into(), offset: None, at_key: true, message: message.into() });
    }
}

/// All that is wrong with what a ruleset means.
pub(super) fn findings(ruleset: &Ruleset) -> Vec<Finding> {
    let mut found = Findings::default();
    numbers(&serde_json::to_value(ruleset).unwrap_or_default(), "", &mut found);
    if ruleset.name.trim().is_empty() || ruleset.name.chars().count() > 100 {
        found.tell("name", "expected 1 to 100 characters");
    }
    limits(ruleset, &mut found);
    metadata_keys(ruleset, &mut found);
    levels(ruleset, &mut found);
    caps(ruleset, &mut found);
    if ruleset.state.max_users_per_partition == 0 {
        found.tell("state.max_users_per_partition", "expected 1 or more: without users there are no baselines");
    }
    for sentence in ruleset.accounts.faults() {
        let (path, message) = sentence.split_once(' ').unwrap_or(("accounts", sentence.as_str()));
        found.tell(path, message);
    }
    priors(ruleset, &mut found);
    rules(ruleset, &mut found);
    found.0
}

/// No weight, window or threshold is negative; the location of a prior is a logarithm, and may be, as may the weights within patterns.
fn numbers(value: &Value, path: &str, found: &mut Findings) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| numbers(value, &below(name), found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| numbers(item, &format!("{path}[{index}]"), found)),
        Value::Number(number) => {
            // What speaks against a pattern has a weight below 0, and even odds are 0.
            let location = path.starts_with("priors.") && path.ends_with(".location") || path.starts_with("patterns.") || path == "combination.confirms_at";
            // Limits and scales have a check of their own.
            let own = path.starts_with("limits[") || path == "below_limit" || path.starts_with("priors.") && path.ends_with(".scale");
            if !location && !own && number.as_f64().is_some_and(|number| number < 0.0) {
                found.tell(path, format!("is {number}: weights, windows and thresholds are not negative; 0 switches a weight off"));
            }
        }
        _ => {}
    }
}

fn limits(ruleset: &Ruleset, found: &mut Findings) {
    if ruleset.limits.len() > MOST_LIMITS {
        found.tell("limits", format!("has {}; at most {MOST_LIMITS} are watched", ruleset.limits.len()));
    }
    for (index, limit) in ruleset.limits.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| ruleset.limits.get(before));
        if !(limit.is_finite() && *limit > 0.0) {
            found.tell(format!("limits[{index}]"), format!("is {limit}: a limit is an amount above 0, in currency units"));
        } else if let Some(before) = before.filter(|before| *before >= limit) {
            found.tell(format!("limits[{index}]"), format!("{limit} stands behind {before}: limits rise, each once"));
        }
    }
    if !(0.0..=0.5).contains(&ruleset.below_limit) {
        found.tell("below_limit", format!("is {}: expected 0 to 0.5, a share of the limit (0.08 is 8 %)", ruleset.below_limit));
    }
}

fn metadata_keys(ruleset: &Ruleset, found: &mut Findings) {
    if ruleset.metadata_keys.len() > MOST_KEYS {
        found.tell("metadata_keys", format!("has {}; at most {MOST_KEYS} are read", ruleset.metadata_keys.len()));
    }
    for (index, key) in ruleset.metadata_keys.iter().enumerate() {
        let path = format!("metadata_keys[{index}]");
        if key.is_empty() || key.len() > 100 {
            found.tell(path, "expected a key of 1 to 100 bytes");
        } else if key == "_labels" || DEFAULT_LABEL_KEYS.contains(&key.to_lowercase().as_str()) {
            found.tell(path, format!("{key} says what a row is, not what happened: labels are never scored by"));
        } else if ruleset.metadata_keys[..index].contains(key) {
            found.tell(path, format!("{key} is there already"));
        }
    }
}

/// Levels are part of what a stored score means, to every reader of every store; so they are fixed.
fn levels(ruleset: &Ruleset, found: &mut Findings) {
    let levels = ruleset.levels;
    if levels.medium_from >= levels.high_from {
        found.tell("levels.high_from", format!("levels overlap: medium begins at {} and high at {}; medium is 31 to 70, high 71 to 100", levels.medium_from, levels.high_from));
    }
    if levels.alert_from > levels.critical_from {
        found.tell("levels.critical_from", format!("is out of order: alerts begin at {} and critical ones at {}; expected 70 and 85", levels.alert_from, levels.critical_from));
    }
    let fixed = [
        ("levels.medium_from", levels.medium_from, 31),
        ("levels.high_from", levels.high_from, 71),
        ("levels.alert_from", levels.alert_from, 70),
        ("levels.critical_from", levels.critical_from, 85),
    ];
    for (path, value, wanted) in fixed {
        if value != wanted && !found.0.iter().any(|other| other.path == path) {
            let why = "low 0 to 30, medium 31 to 70, high 71 to 100, alerts from 70, critical from 85: stored scores are read by that everywhere";
            found.tell(path, format!("is {value}, and is fixed at {wanted} ({why}); change weights instead"));
        }
    }
}

fn caps(ruleset: &Ruleset, found: &mut Findings) {
    let mut sum = 0_u16;
    for dimension in Dimension::ALL {
        let cap = ruleset.caps.of(dimension);
        sum += u16::from(cap);
        if cap > dimension.cap() {
            found.tell(format!("caps.{dimension}"), format!("is {cap}; at most {} (25 + 20 + 25 + 20 + 10 are the 100 points of a score)", dimension.cap()));
        }
    }
    if sum > 100 {
        found.tell_key("caps", format!("add up to {sum}; a score has 100 points"));
    }
}

fn priors(ruleset: &Ruleset, found: &mut Findings) {
    let overall = ruleset.priors.overall.iter().map(|(name, prior)| ("priors.overall".to_owned(), name, prior));
    let by_department = ruleset.priors.departments.iter().flat_map(|(department, types)| {
        let path = format!("priors.departments.{department}");
        types.iter().map(move |(name, prior)| (path.clone(), name, prior))
    });
    for (path, name, prior) in overall.chain(by_department) {
        if TransactionType::parse(name).is_none() {
            let known: Vec<&str> = TransactionType::ALL.iter().map(|known| known.as_str()).collect();
            found.tell_key(format!("{path}.{name}"), format!("there is no transaction type of that name{}", super::nearest::suggestion(name, &known)));
        }
        if !(prior.scale.is_finite() && prior.scale > 0.0) {
            found.tell(format!("{path}.{name}.scale"), format!("is {}: a scale is above 0, and about 1.3 for most", prior.scale));
        }
        if !(prior.location.is_finite() && prior.location.abs() <= 50.0) {
            found.tell(format!("{path}.{name}.location"), format!("is {}: expected the natural logarithm of a usual amount, such as 5.9 for 365", prior.location));
        }
    }
}

fn rules(ruleset: &Ruleset, found: &mut Findings) {
    if ruleset.rules.len() > MOST_RULES {
        found.tell_key("rules", format!("has {}; at most {MOST_RULES} are asked", ruleset.rules.len()));
        return;
    }
    for (index, rule) in ruleset.rules.iter().enumerate() {
        name(rule, index, &ruleset.rules[..index], found);
        let cap = ruleset.caps.of(rule.dimension);
        if rule.points == 0 || rule.points > cap {
            found.tell(format!("rules[{index}].points"), format!("is {}; expected 1 to {cap}, the cap of {}", rule.points, rule.dimension));
        }
    }
    if let Err(faults) = CompiledRules::compile(&ruleset.rules, &ruleset.metadata_keys) {
        let told =
            faults.into_iter().map(|fault| Finding { path: format!("rules[{}].{}", fault.rule, fault.field), offset: Some(fault.offset), at_key: false, message: fault.message });
        found.0.extend(told);
    }
}

fn name(rule: &TeamRule, index: usize, before: &[TeamRule], found: &mut Findings) {
    let path = format!("rules[{index}].name");
    let name = rule.name.as_str();
    let well_formed = name.len() <= 40 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if name.is_empty() {
        found.tell(path, "a rule needs a name: it stands in every score that it gives points to");
    } else if !well_formed {
        found.tell(path, "expected 1 to 40 of a-z, 0-9 and _, beginning with a letter");
    } else if BUILT_IN_RULES.contains(&name) {
        found.tell(path, format!("{name} is a rule of Wardhouse: give it another name"));
    } else if let Some(other) = before.iter().position(|other| other.name == name) {
        found.tell(path, format!("{name} is the name of rules[{other}] already"));
    }
}
