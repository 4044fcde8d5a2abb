//! The accounts and counterparties that a user deals with: since when, how often, for what amounts, and how odd those rows were.

use serde::{Deserialize, Serialize};

use super::encoded::{length, signed, varint};

/// Rows after which all counts are halved.
const HALVE_AT: u16 = 4_000;

/// One party. About 22 bytes when serialised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    #[serde(with = "postcard::fixint::le")]
    fingerprint: u32,
    /// Rows with it, quarantined ones too.
    pub count: u16,
    /// Hours since 1970 of the first row.
    pub first: u32,
    /// … and of the last one.
    pub last: u32,
    /// Mean of ln(amount), in thousandths.
    mean: i16,
    /// Mean absolute deviation of the same, in fiftieths.
    spread: u8,
    /// ln of the first amount, in thousandths.
    begin: i16,
    /// ln of the last amount, in thousandths.
    end: i16,
    /// Rows in a row whose amount rose.
    pub rises: u8,
    /// Points of odd rows with it, halved every ten days.
    pub heat: u8,
    /// Rows that gave such points.
    pub odd: u8,
    /// Sum of the deviations of its amounts from the usual of their types, in tenths of a scale.
    above: i16,
}

/// Parties, at most as many as the capacity given to [`Parties::learn`]; the one not seen for longest goes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parties {
    entries: Vec<Party>,
    seen: u16,
    novel: u16,
    /// Rows with a young party that were not its first.
    again: u16,
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to the range of i16")]
fn thousandths(x: f64) -> i16 {
    libm::round(x * 1000.0).clamp(-32_000.0, 32_000.0) as i16
}

impl Party {
    /// How far ln(amount) lies from this party's usual, in its scales; none before four rows.
    #[must_use]
    pub fn price_z(&self, log_amount: f64) -> Option<f64> {
        if self.count < 4 {
            return None;
        }
        let scale = (f64::from(self.spread) / 50.0 * 1.25).max(0.12);
        Some((log_amount - f64::from(self.mean) / 1000.0) / scale)
    }

    /// Mean deviation of its amounts from the usual of their types, this one included, in scales.
    #[must_use]
    pub fn mean_above(&self, z: f64) -> f64 {
        (f64::from(self.above) / 10.0 + z.clamp(-3.0, 5.0)) / (f64::from(self.count) + 1.0)
    }

    /// How often the amount has grown since the first row, as a factor.
    #[must_use]
    pub fn growth(&self, log_amount: f64) -> f64 {
        libm::exp(log_amount - f64::from(self.begin) / 1000.0)
    }

    /// Whether this amount is more than a twentieth above the last one.
    #[must_use]
    pub fn rising(&self, log_amount: f64) -> bool {
        log_amount > f64::from(self.end) / 1000.0 + 0.05
    }

    /// Bytes when serialised.
    fn bytes(&self) -> usize {
        let numbers = varint(self.count.into()) + varint(self.first.into()) + varint(self.last.into());
        let amounts = [self.mean, self.begin, self.end, self.above].into_iter().map(|amount| signed(amount.into())).sum::<usize>();
        // The fingerprint, and spread, rises, heat and odd of one byte each.
        4 + numbers + amounts + 4
    }

    /// Heat left at an hour.
    #[must_use]
    pub fn heat_at(&self, hour: u32) -> f64 {
        f64::from(self.heat) * libm::exp2(-f64::from(hour.saturating_sub(self.last)) / 240.0)
    }
}

impl Parties {
    /// A party, if it is remembered.
    #[must_use]
    pub fn get(&self, fingerprint: u32) -> Option<&Party> {
        self.entries.iter().find(|e| e.fingerprint == fingerprint)
    }

    /// Parties first seen within so many hours.
    #[must_use]
    pub fn young(&self, hour: u32, within: u32) -> usize {
        self.entries.iter().filter(|e| hour.saturating_sub(e.first) <= within).count()
    }

    /// Different parties that are remembered.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.entries.len()
    }

    /// Share of rows that met an unknown party, with a prior of one in two.
    #[must_use]
    pub fn novelty_rate(&self) -> f64 {
        (f64::from(self.novel) + 1.0) / (f64::from(self.seen) + 2.0)
    }

    /// Rows learnt, those long past weighing less.
    #[must_use]
    pub fn seen(&self) -> u16 {
        self.seen
    }

    /// Share of rows that are with a young party, but not its first.
    #[must_use]
    pub fn again_rate(&self) -> f64 {
        (f64::from(self.again) + 0.5) / (f64::from(self.seen) + 10.0)
    }

    /// Bits of surprise at an unknown party.
    #[must_use]
    pub fn novelty_bits(&self) -> f64 {
        -libm::log2(self.novelty_rate())
    }

    /// Takes a row in: ln(amount), its deviation from the usual, and the points by which it is odd. One in quarantine is counted, and teaches neither amounts nor how usual new parties are.
    #[expect(clippy::too_many_arguments, reason = "what a row says of its party")]
    pub fn learn(&mut self, fingerprint: u32, hour: u32, log_amount: f64, z: f64, odd_points: f64, quarantined: bool, capacity: usize) {
        if !quarantined {
            self.seen += 1;
            if self.seen >= HALVE_AT {
                self.seen /= 2;
                self.novel /= 2;
                self.again /= 2;
            }
            if self.get(fingerprint).is_some_and(|p| hour.saturating_sub(p.first) <= super::signals::YOUNG) {
                self.again += 1;
            }
        }
        let x = thousandths(log_amount);
        let at = match self.entries.iter().position(|e| e.fingerprint == fingerprint) {
            Some(at) => at,
            None => {
                if !quarantined {
                    self.novel += 1;
                }
                if self.entries.len() >= capacity {
                    self.forget_oldest(0);
                }
                self.entries.push(Party { fingerprint, first: hour, last: hour, mean: x, spread: 15, begin: x, end: x, ..Party::default() });
                self.entries.len() - 1
            }
        };
        let Some(party) = self.entries.get_mut(at) else { return };
        let heat = (party.heat_at(hour) + odd_points).clamp(0.0, 255.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of u8")]
        {
            party.heat = heat as u8;
        }
        if odd_points >= 1.0 {
            party.odd = party.odd.saturating_add(1);
        }
        if party.count > 0 {
            party.rises = if party.rising(log_amount) { party.rises.saturating_add(1) } else { 0 };
            if !quarantined {
                let rate = (1.0 / (f64::from(party.count) + 1.0)).max(0.05);
                let (mean, spread) = (f64::from(party.mean) / 1000.0, f64::from(party.spread) / 50.0);
                let step = log_amount - mean;
                party.mean = thousandths(mean + rate * step.clamp(-3.0 * spread.max(0.1), 3.0 * spread.max(0.1)));
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of u8")]
                {
                    party.spread = libm::round((spread + rate * (libm::fabs(step).min(3.0 * spread.max(0.1)) - spread)) * 50.0).clamp(0.0, 255.0) as u8;
                }
            }
        }
        party.end = x;
        #[expect(clippy::cast_possible_truncation, reason = "clamped to the range of i16")]
        {
            party.above = (f64::from(party.above) + libm::round(z.clamp(-3.0, 5.0) * 10.0)).clamp(-30_000.0, 30_000.0) as i16;
        }
        party.count = party.count.saturating_add(1);
        party.last = party.last.max(hour);
    }

    /// Forgets the one not seen for longest, where there are more than `keep`: whether it did.
    pub(super) fn forget_oldest(&mut self, keep: usize) -> bool {
        let oldest = self.entries.iter().enumerate().min_by_key(|(_, e)| (e.last, e.count, e.fingerprint)).map(|(i, _)| i);
        let Some(oldest) = oldest.filter(|_| self.entries.len() > keep) else { return false };
        self.entries.swap_remove(oldest);
        true
    }

    /// Says of what was seen after an hour that it was seen then: the clock that said otherwise was wrong.
    pub(super) fn take_back(&mut self, hour: u32) {
        for party in &mut self.entries {
            (party.first, party.last) = (party.first.min(hour), party.last.min(hour));
        }
    }

    /// Whether the engine can go on with what was decoded: no more rows that were new, or another with a young party, than rows.
    pub(super) fn is_sound(&self) -> bool {
        self.seen < HALVE_AT && self.novel <= self.seen && self.again <= self.seen
    }

    /// Bytes when serialised.
    pub(super) fn bytes(&self) -> usize {
        let entries: usize = self.entries.iter().map(Party::bytes).sum();
        length(self.entries.len()) + entries + varint(self.seen.into()) + varint(self.novel.into()) + varint(self.again.into())
    }
}
