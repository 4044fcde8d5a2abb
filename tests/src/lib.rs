//! Holds no code: the tests over the whole workspace are in `tests/it`.
