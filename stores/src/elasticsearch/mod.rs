//! elasticsearch.
