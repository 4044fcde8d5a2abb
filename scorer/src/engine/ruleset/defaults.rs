//! The ruleset that is built in: what a hospital begins with.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use wh_schemas::TransactionType;

use super::super::amounts::Prior;
use super::super::combination::CombinationRules;
use super::super::patterns::PatternRules;
use super::{AmountRules, BehaviorRules, Caps, FrequencyRules, Levels, MetadataRules, Priors, Ruleset, StateRules, TimeRules};
use crate::patterns::AccountRules;

impl Default for Levels {
    fn default() -> Self {
        Levels { medium_from: 31, high_from: 71, alert_from: 70, critical_from: 85 }
    }
}

impl Default for Caps {
    fn default() -> Self {
        Caps { amount: 25, time: 20, frequency: 25, behavior: 20, metadata: 10 }
    }
}

impl Default for AmountRules {
    fn default() -> Self {
        AmountRules {
            from: 0.5,
            points_a_scale: 3.5,
            points_beyond_three: 3.0,
            points_above_largest: 4.0,
            points_other_price: 1.5,
            points_below_limit: 3.0,
            points_dear_party: 2.0,
        }
    }
}

impl Default for TimeRules {
    fn default() -> Self {
        TimeRules { below: 0.6, points_a_halving: 4.5 }
    }
}

impl Default for FrequencyRules {
    fn default() -> Self {
        FrequencyRules { from: 1.0, points_a_deviation: 0.9, points_of_heat: 0.7, points_again: 2.5 }
    }
}

impl Default for BehaviorRules {
    fn default() -> Self {
        BehaviorRules {
            points_unusual_type: 4.0,
            points_unusual_department: 1.2,
            points_new_account: 2.0,
            points_new_counterparty: 0.7,
            points_young_party: 4.5,
            dormant_days: 14,
            points_dormant: 8.0,
            points_repeated: 4.0,
            points_rare_reversal: 3.0,
            points_odd_party: 2.5,
            mature_after: 20,
        }
    }
}

impl Default for MetadataRules {
    fn default() -> Self {
        MetadataRules { points_new_value: 1.0 }
    }
}

impl Default for StateRules {
    fn default() -> Self {
        StateRules { max_users_per_partition: 200_000 }
    }
}

impl Default for Priors {
    fn default() -> Self {
        let prior = |usual: f64, scale: f64| Prior { location: libm::log(usual), scale };
        // billing, payment, refund, transfer, adjustment, insurance_claim, payroll, procurement
        let usual = [prior(350.0, 1.3), prior(400.0, 1.4), prior(180.0, 1.3), prior(1_500.0, 1.5), prior(150.0, 1.4), prior(1_200.0, 1.4), prior(2_800.0, 0.9), prior(900.0, 1.5)];
        Priors { overall: TransactionType::ALL.iter().map(|t| t.as_str().to_owned()).zip(usual).collect(), departments: BTreeMap::new() }
    }
}

impl Default for Ruleset {
    fn default() -> Self {
        Ruleset {
            name: "default".to_owned(),
            time_zone: Tz::UTC,
            limits: vec![1_000.0, 5_000.0, 10_000.0, 50_000.0],
            below_limit: 0.08,
            metadata_keys: ["ip", "ip_address", "terminal", "terminal_id", "device", "device_id", "channel", "location"].map(str::to_owned).to_vec(),
            levels: Levels::default(),
            caps: Caps::default(),
            amount: AmountRules::default(),
            time: TimeRules::default(),
            frequency: FrequencyRules::default(),
            behavior: BehaviorRules::default(),
            metadata: MetadataRules::default(),
            patterns: PatternRules::default(),
            combination: CombinationRules::default(),
            accounts: AccountRules::default(),
            state: StateRules::default(),
            priors: Priors::default(),
            rules: Vec::new(),
        }
    }
}
