//! The examples at work: each pair has one conversation, which both of its halves have to pass.

mod chat;
mod client;
mod echo;
mod program;
mod proxy;
