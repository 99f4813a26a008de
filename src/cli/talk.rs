//! A conversation with one server: each line of a text is said, each reply printed.
//!
//! In step: a line goes out when the one before was answered, so a person at a terminal sees replies as they come, and each reply is
//! known by its command. A last line without `\n` is sent like that, and the connection half-closed.

use std::io::{self, BufRead, Read, Write};

use clap::Args;

use super::client::{Client, Driven};
use super::{Failure, Options, settings};
use crate::server::limits::CLIENT_LINE;

/// Whom to talk to.
#[derive(Args)]
pub(super) struct At {
    /// The server to talk to [default: the topology's first]
    #[arg(long, value_name = "SERVER")]
    at: Option<String>,
}

impl At {
    /// Says the lines of `text`. Fails if the server cannot be reached, or answers one of them with `?`.
    pub(super) fn talk(&self, options: &Options, text: &mut dyn BufRead) -> Result<(), Failure> {
        let topology = settings::topology(options)?;
        let server = match &self.at {
            Some(name) => settings::server(&topology, name)?,
            None => &topology.servers()[0],
        };
        let mut driven = Driven::new(())?;
        let mut client = Client::connect(&mut driven, server)?;
        let mut outcome = Ok(());
        let mut line = Vec::new();
        loop {
            line.clear();
            // One byte over the limit, and a server knows that the line is too long.
            let read = text.take(CLIENT_LINE as u64 + 2).read_until(b'\n', &mut line);
            read.map_err(|error| Failure::Failed(format!("standard input cannot be read: {error}")))?;
            if line.is_empty() {
                client.leave(&mut driven)?;
                return outcome;
            }
            client.say(&mut driven, &line);
            let last = !line.ends_with(b"\n");
            if last {
                client.finish(&mut driven);
            }
            if let Some(reply) = client.reply(&mut driven, &line)? {
                let mut output = io::stdout().lock();
                output.write_all(&reply).and_then(|()| output.flush()).map_err(Failure::of_output)?;
                if reply.starts_with(b"?") {
                    outcome = Err(Failure::Refused);
                }
            }
            if last {
                return outcome;
            }
        }
    }
}
