//! Choices that are made by the bytes of an input. What is used up reads as zeros, so that every input is a whole story.
//!
//! `arbitrary::Unstructured` does the same; the bodies are compiled into the workspace's tests too, and one more dependency for twenty lines is
//! not worth it there.

/// What an input still has to say.
pub(super) struct Choices<'d>(&'d [u8]);

impl<'d> Choices<'d> {
    /// All of it.
    pub(super) fn new(data: &'d [u8]) -> Choices<'d> {
        Choices(data)
    }

    /// Whether everything is said.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// From 0 up to `limit`, which is not among them.
    pub(super) fn below(&mut self, limit: u8) -> u8 {
        self.byte() % limit.max(1)
    }

    /// Some bytes: as many as the next one says, at most so many.
    pub(super) fn bytes(&mut self, most: usize) -> &'d [u8] {
        let length = usize::from(self.byte()).min(most).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }
}
