//! The examples at work: each pair has one conversation, which both of its halves have to pass.

mod chat;
mod client;
mod echo;
mod program;
mod proxy;

/// The suffixes of the programs of a pair.
const STYLES: [&str; 1] = ["callbacks"];
