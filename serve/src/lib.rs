//! The ways into SQL: PostgreSQL's wire protocol, Arrow Flight SQL and HTTP, over one engine.
//!
//! What must stay true: every connection has a principal; an address that is not loopback is served with TLS and credentials or
//! not at all; what a protocol cannot say is an error of that protocol, never a panic.
