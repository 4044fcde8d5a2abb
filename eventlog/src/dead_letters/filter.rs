//! Which letters are meant. Pure.
//!
//! What must stay true: a filter that says nothing takes every letter; whatever is said holds together.

use super::Found;

/// Conditions on letters; each that is `None` holds for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The stage; the name of a store means the letters that its sink wrote.
    pub stage: Option<String>,
    /// The store that could not take the record.
    pub store: Option<String>,
    /// Part of the error's class.
    pub class: Option<String>,
    /// The fingerprint.
    pub fingerprint: Option<String>,
    /// Written at or after this time: microseconds since 1970 UTC.
    pub since: Option<i64>,
    /// Written before this time.
    pub until: Option<i64>,
}

impl Filter {
    /// Whether it takes every letter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether it takes a letter.
    #[must_use]
    pub fn takes(&self, found: &Found) -> bool {
        let (letter, written) = (&found.letter, found.record.append_time);
        self.stage.as_ref().is_none_or(|stage| *stage == letter.stage || letter.store.as_ref() == Some(stage))
            && self.store.as_ref().is_none_or(|store| letter.store.as_ref() == Some(store))
            && self.class.as_ref().is_none_or(|class| letter.error_class.contains(class.as_str()))
            && self.fingerprint.as_ref().is_none_or(|fingerprint| *fingerprint == letter.fingerprint)
            && self.since.is_none_or(|since| written >= since)
            && self.until.is_none_or(|until| written < until)
    }
}
