//! Encrypted links: who is let in and who is not, on the simulated network and on real sockets, in both styles; and the keys.

mod authority;
#[path = "../command/mod.rs"]
#[expect(dead_code, reason = "it is for the tests of the whole command line, too")]
mod command;
mod door;
mod herds;
mod keygen;
mod keys;
#[path = "../contract/logbook.rs"]
mod logbook;
mod processes;
mod refusals;
mod rotation;
mod stage;
