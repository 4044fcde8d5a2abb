//! What speaks for and against a pattern, in numbers that are alike for all patterns, and the weights that turn them into its strength.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! aspects {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// What is seen of one pattern at one row. Each lies between about −1 and 5.
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct Aspects {
            $($(#[$doc])* pub $name: f64,)+
        }

        /// One pattern's weights: its strength is `bias` plus each aspect times its weight. From 1 on it is confirmed.
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct PatternRule {
            /// Whether it is looked for.
            pub enabled: bool,
            /// Strength where nothing speaks for it.
            pub bias: f64,
            $($(#[$doc])* pub $name: f64,)+
        }

        impl Default for PatternRule {
            fn default() -> Self {
                PatternRule { enabled: true, bias: 0.0, $($name: 0.0,)+ }
            }
        }

        impl PatternRule {
            /// How strongly aspects confirm this pattern.
            #[must_use]
            pub fn strength(&self, aspects: &Aspects) -> f64 {
                self.bias $(+ self.$name * aspects.$name)+
            }
        }

        impl Aspects {
            /// Their names, in order.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// Their values, in that order.
            #[must_use]
            pub fn values(&self) -> Vec<f64> {
                vec![$(self.$name),+]
            }
        }
    };
}

aspects! {
    /// Tens of bits of surprise at so many rows of the pattern.
    surprise,
    /// log2 of how many rows it has.
    count,
    /// Share of its rows that go to one party.
    party,
    /// The pattern's own measure.
    own,
    /// Scales of the amount above the usual.
    amount,
    /// Scales of all amounts with the party above the usual, on average, against chance.
    amounts,
    /// Doublings above the largest amount before.
    largest,
    /// How little the party is known.
    newness,
    /// How unlikely the hour is, in halvings of an even spread.
    hour,
    /// Whether the type or the department is not the user's.
    outside,
    /// Bits of surprise at a place never seen, in fives.
    place,
    /// Whether it lies just below a limit.
    limit,
    /// How often the same amount went to the same parties lately, log2.
    repeat,
    /// Standard deviations of the last hour's rate above the usual, in threes.
    rate,
    /// Whether the amount is one that others pay too.
    price,
    /// How much of a habit this is.
    habit,
    /// Share of the user's last rows that are new to them in some way: one who moved to other work, or stands in.
    moved,
    /// log2 of the rows of this type that went to other parties within the hour: a batch.
    batch,
}
