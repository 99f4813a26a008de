//! The examples at work: each pair has one conversation, which both of its halves have to pass.

mod chat;
mod client;
mod echo;
mod program;
mod proxy;

use std::thread;

/// All at once, as they hardly compute: they wait, for seconds, that a time is over or an address free.
#[test]
fn both_halves_of_each_pair_pass_its_conversation() {
    let checks = [chat::check, client::check, echo::check, proxy::check];
    let pairs = ["chat", "client", "echo", "proxy"].into_iter().zip(checks as [fn(&str); 4]);
    thread::scope(|scope| {
        for (pair, check) in pairs {
            for style in ["callbacks", "streams"] {
                let name = format!("{pair}_{style}");
                // So named, a thread that panics tells which half it was.
                let thread = thread::Builder::new().name(name.clone());
                thread.spawn_scoped(scope, move || check(&name)).expect("a thread");
            }
        }
    });
}
