//! What came to pass, so that a run that bore nothing is told from one that bore everything.

/// How often each fault came to pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::delivery::simulation) struct Counts {
    pub(super) kills: u64,
    pub(super) stops: u64,
    pub(super) rebalances: u64,
    pub(super) losses: u64,
    pub(super) lost_requests: u64,
    pub(super) lost_replies: u64,
    pub(super) doubled_requests: u64,
    pub(super) late_replies: u64,
    pub(super) late_answers: u64,
    pub(super) partial_writes: u64,
    pub(super) timeouts: u64,
    pub(super) refusals_to_answer: u64,
    pub(super) failures_of_the_log: u64,
    pub(super) lost_letters: u64,
    pub(super) breaker_openings: u64,
    pub(super) letters: u64,
    pub(super) divided: u64,
}

impl Counts {
    pub(in crate::delivery::simulation) fn named(&self) -> [(&'static str, u64); 17] {
        [
            ("a kill", self.kills),
            ("a stop", self.stops),
            ("a rebalance", self.rebalances),
            ("a partition lost without a word", self.losses),
            ("a lost request", self.lost_requests),
            ("a reply lost after the write took effect", self.lost_replies),
            ("a doubled request", self.doubled_requests),
            ("a reply after its time", self.late_replies),
            ("an answer after its time", self.late_answers),
            ("a partial write", self.partial_writes),
            ("a timeout", self.timeouts),
            ("a busy store", self.refusals_to_answer),
            ("a failing log", self.failures_of_the_log),
            ("a dead letter whose acknowledgement was lost", self.lost_letters),
            ("an open breaker", self.breaker_openings),
            ("a dead letter", self.letters),
            ("a batch refused as a whole", self.divided),
        ]
    }

    pub(in crate::delivery::simulation) fn add(&mut self, other: &Counts) {
        let Counts { kills, stops, rebalances, losses, lost_requests, lost_replies, doubled_requests, late_replies, late_answers, .. } = other;
        let Counts { partial_writes, timeouts, refusals_to_answer, failures_of_the_log, lost_letters, breaker_openings, letters, divided, .. } = other;
        self.kills += kills;
        self.stops += stops;
        self.rebalances += rebalances;
        self.losses += losses;
        self.lost_requests += lost_requests;
        self.lost_replies += lost_replies;
        self.doubled_requests += doubled_requests;
        self.late_replies += late_replies;
        self.late_answers += late_answers;
        self.partial_writes += partial_writes;
        self.timeouts += timeouts;
        self.refusals_to_answer += refusals_to_answer;
        self.failures_of_the_log += failures_of_the_log;
        self.lost_letters += lost_letters;
        self.breaker_openings += breaker_openings;
        self.letters += letters;
        self.divided += divided;
    }
}
