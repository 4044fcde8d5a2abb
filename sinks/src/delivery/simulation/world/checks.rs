//! What must hold at every moment, and in the end.

use super::World;
use crate::delivery::simulation::log::{Nature, PARTITIONS};
use crate::delivery::simulation::store::Kind;

impl World {
    /// Whether everything that the log holds is where it belongs.
    pub(super) fn is_settled(&self) -> bool {
        (0..PARTITIONS).all(|partition| {
            let (end, position) = (self.log.bounds(partition).end, self.server.position(partition));
            let committed = self.log.committed.get(&partition).copied().unwrap_or(0);
            // An open block is committed up to its beginning.
            let settled = self.kind == Kind::Blocks || position.next_offset == end;
            end > 0 && position.visible_offset == end && settled && committed == position.next_offset && self.log.of(partition).seqs.len() as u64 == position.visible_seq
        })
    }

    /// What the store says that can be read is there, once, or in the dead letters.
    pub(super) fn check_positions(&mut self) -> Result<(), String> {
        for (partition, position) in &self.server.positions {
            let checked = self.checked.entry(*partition).or_default();
            if position.visible_seq < *checked {
                return Err(format!("the position of partition {partition} goes back from seq {checked} to {}", position.visible_seq));
            }
            let seqs = &self.log.of(*partition).seqs;
            for seq in *checked..position.visible_seq {
                let Some((offset, nature)) = seqs.get(usize::try_from(seq).unwrap_or(usize::MAX)) else {
                    return Err(format!("the position of partition {partition} covers seq {seq}, which was never emitted"));
                };
                let times = self.server.rows.get(&(*partition, seq)).copied().unwrap_or(0);
                let held = if *nature == Nature::Good { times == 1 } else { times == 0 && self.log.letters.contains(&(*partition, *offset)) };
                if !held {
                    return Err(format!("partition {partition}, seq {seq} ({nature:?}) is covered by the position, and is there {times} times"));
                }
            }
            *checked = position.visible_seq;
        }
        Ok(())
    }

    /// Every good row is there once, no bad one is, and what became of them adds up.
    pub(super) fn check_rows(&self) -> Result<(), String> {
        for partition in 0..PARTITIONS {
            let seqs = &self.log.of(partition).seqs;
            for (seq, (_, nature)) in (0..).zip(seqs) {
                let times = self.server.rows.get(&(partition, seq)).copied().unwrap_or(0);
                if times != u32::from(*nature == Nature::Good) {
                    return Err(format!("partition {partition}, seq {seq} ({nature:?}) is there {times} times"));
                }
            }
            let position = self.server.position(partition);
            let bad = seqs.iter().filter(|(_, nature)| *nature != Nature::Good).count() as u64;
            if position.tally.sum() != position.next_seq || (self.kind != Kind::Blocks && position.tally.dead_letters != bad) {
                return Err(format!("partition {partition}: {:?} does not add up to seq {} with {bad} bad rows", position.tally, position.next_seq));
            }
        }
        Ok(())
    }
}
