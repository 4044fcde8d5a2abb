//! The known name that a person probably meant.

/// Longest name that a suggestion is looked for: the comparison is quadratic.
const LONGEST: usize = 100;

/// The candidate that is fewest edits away, where that is few enough to be a slip.
pub(super) fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if name.len() > LONGEST {
        return None;
    }
    let within = (name.chars().count() / 3).max(1);
    let named = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&named, &candidate.to_lowercase()), candidate))
        .filter(|(edits, _)| *edits <= within)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The suggestion as the end of a sentence; what there is, where nothing is near.
pub(super) fn suggestion(name: &str, candidates: &[&str]) -> String {
    match nearest(name, candidates.iter().copied()) {
        Some(meant) => format!("; did you mean {meant}?"),
        None if candidates.is_empty() => String::new(),
        None => format!("; there is {}", candidates.join(", ")),
    }
}
