//! The schemes find people and rows in every grade, and stay within their bounds.

use std::collections::{BTreeMap, BTreeSet};

use super::UNSEEN;
use crate::{Config, Grade, generate_with};

#[test]
fn every_scheme_and_grade_appears_with_incidents_of_a_few_rows() {
    for seed in 51..54 {
        let generated = generate_with(&Config::default(), seed, &UNSEEN);
        let mut incidents: BTreeMap<u32, (&str, Option<Grade>, usize)> = BTreeMap::new();
        for label in &generated.labels {
            assert_eq!(label.fraud, label.incident.is_some());
            if let Some(incident) = label.incident {
                let entry = incidents.entry(incident).or_insert((label.scenario, label.grade, 0));
                assert_eq!((entry.0, entry.1), (label.scenario, label.grade));
                entry.2 += 1;
            }
        }
        assert!(incidents.values().all(|(_, _, rows)| (3..=25).contains(rows)), "seed {seed}: {incidents:?}");
        let seen: BTreeSet<(&str, Option<Grade>)> = incidents.values().map(|&(name, grade, _)| (name, grade)).collect();
        for scheme in UNSEEN {
            for grade in Grade::ALL {
                assert!(seen.contains(&(scheme.name(), Some(grade))), "seed {seed}: {} {}", scheme.name(), grade.as_str());
            }
        }
        assert_eq!(seen.len(), UNSEEN.len() * Grade::ALL.len());
    }
}

#[test]
fn the_seed_decides_everything() {
    let config = Config { users: 50, days: 70, ..Config::default() };
    let (a, b) = (generate_with(&config, 8, &UNSEEN), generate_with(&config, 8, &UNSEEN));
    assert_eq!(a.transactions, b.transactions);
    assert_eq!(a.labels, b.labels);
}
