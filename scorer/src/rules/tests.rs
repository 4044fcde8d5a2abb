//! Every kind of bad file with its place; what is written reads back; the hash.

use super::{RulesetFault, TeamRule, changes, parse, to_toml};
use crate::engine::Ruleset;

fn faults(text: &str) -> Vec<String> {
    parse(text).expect_err("there are faults").iter().map(ToString::to_string).collect()
}

/// The one fault of a text begins so and says so.
fn refused(text: &str, place: &str, word: &str) {
    let told = faults(text);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].starts_with(place) && told[0].contains(word), "expected {place} … {word}: {}", told[0]);
}

#[test]
fn what_is_written_reads_back_as_the_same_ruleset() {
    let default = Ruleset::default();
    let text = to_toml(&default);
    assert_eq!(parse(&text).expect(&text), default);
    assert_eq!(parse("").expect("an empty file"), default);
    let mut own = default.clone();
    own.rules.push(TeamRule {
        name: "mine".into(),
        when: "tx.amount > 1.0 &&\n  tx.type == \"refund\"".into(),
        points: 3,
        evidence: Some("it's {tx.amount}".into()),
        ..TeamRule::default()
    });
    own.priors.departments.insert("St. Mary \"A\"".into(), default.priors.overall.clone());
    own.limits = vec![0.1, 2.0];
    let text = to_toml(&own);
    assert_eq!(parse(&text).expect(&text), own);
}

#[test]
fn every_setting_of_the_written_file_is_explained() {
    let mut lines = Vec::new();
    let text = to_toml(&Ruleset::default());
    let mut before = "";
    for line in text.lines() {
        let setting = line.contains(" = ") && !line.starts_with('#') && !line.contains("{ location");
        if setting && !before.starts_with('#') {
            lines.push(line);
        }
        before = line;
    }
    assert!(lines.is_empty(), "no comment above {lines:#?}");
}

#[test]
fn the_documented_example_is_valid_and_the_documentation_names_every_setting() {
    let example = include_str!("../../../docs/rules/example.toml");
    let ruleset = parse(example).unwrap_or_else(|faults| panic!("{}", faults.iter().map(|fault| fault.render("example.toml", example)).collect::<Vec<_>>().join("\n")));
    assert!(ruleset.rules.len() >= 5);
    let text = include_str!("../../../docs/rules.md");
    let default = to_toml(&Ruleset::default());
    let named = |name: &str| text.contains(&format!("`{name}`"));
    let mut section = "";
    let mut settings = Vec::new();
    for line in default.lines() {
        match line.split_once(" = ") {
            _ if line.starts_with('[') => section = line,
            // Each pattern has thresholds of its own, explained where they are printed.
            Some((name, value)) if !line.starts_with('#') && !section.starts_with("[patterns") && !value.starts_with('{') => settings.push(name),
            _ => {}
        }
    }
    let missing: Vec<&str> = settings.into_iter().chain(super::facts::FIELDS.iter().map(|field| field.name)).filter(|name| !named(name)).collect();
    assert!(missing.is_empty(), "docs/rules.md lacks {missing:?}");
}

#[test]
fn comments_and_order_do_not_change_the_hash() {
    let one = parse("limits = [10.0, 20.0]\n[caps]\ntime = 10\namount = 20\n").unwrap();
    let other = parse("# mine\ncaps = { amount = 20, time = 10 } # less\nlimits = [\n  10,\n  20,\n]\n").unwrap();
    assert_eq!(one.content_hash(), other.content_hash());
    assert_ne!(one.content_hash(), Ruleset::default().content_hash());
    assert_ne!(parse("limits = [10.0, 21.0]").unwrap().content_hash(), parse("limits = [10.0, 20.0]").unwrap().content_hash());
}

#[test]
fn faults_of_toml_have_their_place() {
    let told = faults("name = \"a\"\nlimits = [1,\n[caps\n");
    assert!(told.iter().all(|fault| fault.contains("no TOML")), "{told:#?}");
    assert!(faults("name = \"a\"\nname = \"b\"\n")[0].starts_with("2:1: "), "a doubled key");
}

#[test]
fn unknown_names_are_refused_with_the_nearest_known_one() {
    refused("\nlimts = [1.0]\n", "2:1: limts: ", "did you mean limits?");
    refused("[caps]\nammount = 20\n", "2:1: caps.ammount: ", "did you mean amount?");
    refused("[[rules]]\nname = \"a\"\nwhen = \"tx.hour > 3\"\npoints = 1\npoint = 2\n", "5:1: rules[0].point: ", "did you mean points?");
}

#[test]
fn wrong_types_and_ranges_are_refused() {
    refused("limits = \"high\"\n", "1:10: limits: ", "expected a list");
    refused("limits = [1.0, \"two\"]\n", "1:16: limits[1]: ", "expected a number, found text");
    refused("[caps]\ntime = 20.5\n", "2:8: caps.time: ", "without a fraction");
    refused("[caps]\ntime = 300\n", "2:8: caps.time: ", "expected 0 to 255");
    refused("caps = 3\n", "1:8: caps: ", "expected a section");
    refused("below_limit = nan\n", "1:15: below_limit: ", "ordinary size");
    refused("[[rules]]\nname = \"a\"\nwhen = \"true\"\npoints = 1\ndimension = \"amout\"\n", "5:13: rules[0].dimension: ", "amount");
    refused("[priors.overall]\nrefund = { location = 5.0 }\n", "2:10: priors.overall.refund: ", "scale");
}

#[test]
fn what_makes_no_sense_is_refused() {
    refused("time_zone = \"Europe/Berln\"\n", "1:13: time_zone: ", "IANA");
    refused("below_limit = 0.6\n", "1:15: below_limit: ", "0 to 0.5");
    refused("limits = [5.0, 5.0]\n", "1:16: limits[1]: ", "limits rise");
    refused("limits = [-5.0]\n", "1:11: limits[0]: ", "above 0");
    refused("metadata_keys = [\"ip\", \"is_fraud\"]\n", "1:24: metadata_keys[1]: ", "labels are never scored");
    refused("[amount]\npoints_a_scale = -1.0\n", "2:18: amount.points_a_scale: ", "not negative");
    refused("[levels]\nmedium_from = 40\n", "2:15: levels.medium_from: ", "fixed at 31");
    refused("[levels]\nhigh_from = 31\n", "2:13: levels.high_from: ", "overlap");
    refused("[levels]\nhigh_from = 80\n", "2:13: levels.high_from: ", "fixed at 71");
    refused("[levels]\ncritical_from = 60\n", "2:17: levels.critical_from: ", "out of order");
    refused("[priors.overall]\nrefund = { location = 5.0, scale = 0.0 }\n", "2:36: priors.overall.refund.scale: ", "above 0");
    refused("[priors.departments.IT]\nrefnd = { location = 5.0, scale = 1.0 }\n", "2:1: priors.departments.IT.refnd: ", "did you mean refund?");
    let told = faults("[caps]\nmetadata = 20\n");
    assert!(told.iter().any(|fault| fault.starts_with("1:2: caps: add up to 110")), "{told:#?}");
    assert!(told.iter().any(|fault| fault.starts_with("2:12: caps.metadata: is 20; at most 10")), "{told:#?}");
}

#[test]
fn rules_are_refused_by_name_points_and_condition() {
    let rule = |fields: &str| format!("[[rules]]\n{fields}\n");
    refused(&rule("when = \"true\"\npoints = 1"), "1:1: rules[0].name: ", "needs a name");
    refused(&rule("name = \"A b\"\nwhen = \"true\"\npoints = 1"), "2:8: rules[0].name: ", "a-z");
    refused(&rule("name = \"unusual_hour\"\nwhen = \"true\"\npoints = 1"), "2:8: rules[0].name: ", "a rule of Wardhouse");
    refused(&rule("name = \"a\"\nwhen = \"true\"\npoints = 11\ndimension = \"metadata\""), "4:10: rules[0].points: ", "1 to 10");
    refused(&rule("name = \"a\"\nwhen = \"true\""), "1:1: rules[0].points: ", "is 0");
    refused(&rule("name = \"a\"\npoints = 1"), "1:1: rules[0].when: ", "is empty");
    refused(&rule("name = \"a\"\npoints = 1\nwhen = \"tx.amount >\""), "4:", "rules[0].when");
    refused(&rule("name = \"a\"\npoints = 1\nwhen = 'tx.hour > 3 && tx.amont > 2.0'"), "4:24: rules[0].when: ", "did you mean tx.amount?");
    refused(&rule("name = \"a\"\npoints = 1\nwhen = \"tx.type == \\\"a\\\" && tx.amont > 2.0\""), "4:29: rules[0].when: ", "tx.amont");
    refused(&rule("name = \"a\"\npoints = 1\nwhen = \"\"\"\ntx.hour > 3 &&\n  tx.amont > 2.0\"\"\""), "6:3: rules[0].when: ", "tx.amont");
    refused(&rule("name = \"a\"\npoints = 1\nwhen = \"true\"\nevidence = \"{tx.amuont}\""), "5:13: rules[0].evidence: ", "tx.amount");
    let twice = "[[rules]]\nname = \"a\"\nwhen = \"true\"\npoints = 1\n".repeat(2);
    refused(&twice, "6:8: rules[1].name: ", "rules[0]");
}

#[test]
fn several_faults_are_told_at_once_and_in_order() {
    let text = "limts = []\nbelow_limit = 3.0\nlimits = [2.0, 1.0]\n[caps]\ntime = \"long\"\n[levels]\nmedium_from = 1\n[[rules]]\nname = \"a\"\nwhen = \"tx.a > 1.0 || tx.b > 2.0\"\npoints = 99\n";
    let lines: Vec<usize> = parse(text).unwrap_err().iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [1, 2, 3, 5, 7, 10, 11]);
}

#[test]
fn a_fault_is_shown_with_its_line_and_a_mark() {
    let text = "name = \"x\"\n\tbelow_limit = 0.75\n";
    let fault: RulesetFault = parse(text).unwrap_err().remove(0);
    let shown = fault.render("rules.toml", text);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("rules.toml:2:16: below_limit: "), "{shown}");
    assert_eq!(lines[1], "    2 | \tbelow_limit = 0.75");
    assert_eq!(lines[2], "      | \t              ^^^^");
}

#[test]
fn no_text_makes_it_panic() {
    for text in [
        "\u{feff}",
        "=",
        "[[rules]]\nwhen = \"\\u00",
        "rules = 1",
        "[rules]\na = 1",
        "priors = []",
        "name = 1979-05-27",
        "limits = [[1]]",
        "\0",
        "[[rules]]\nwhen = '''\n\u{1f600}{{{((('''",
    ] {
        assert!(parse(text).is_err() || text == "\u{feff}", "{text:?}");
    }
    let deep = format!("[[rules]]\nname = \"a\"\npoints = 1\nwhen = '{}1 == 1{}'\n", "(".repeat(900), ")".repeat(900));
    assert_eq!(parse(&deep).unwrap_err()[0].path, "rules[0].when");
    let long = format!("[[rules]]\nname = \"a\"\npoints = 1\nwhen = '1{} == 1'\n", " + 1".repeat(480));
    assert_eq!(parse(&long).unwrap_err()[0].path, "rules[0].when");
}

#[test]
fn what_differs_is_told_by_setting_and_rules_by_name() {
    let (before, mut after) = (Ruleset::default(), Ruleset::default());
    assert!(changes(&before, &after).is_empty());
    after.limits = vec![7.0];
    after.rules.push(TeamRule { name: "a".into(), when: "true".into(), points: 5, ..TeamRule::default() });
    let paths: Vec<String> = changes(&before, &after).into_iter().map(|change| change.path).collect();
    assert!(paths.contains(&"limits".to_owned()) && paths.contains(&"rules.a.when".to_owned()), "{paths:?}");
}
