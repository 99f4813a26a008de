//! `proxy-herd send`: says lines to a server, byte for byte.

use std::ffi::OsString;
use std::io;

use clap::Args;

use super::talk::At;
use super::{Failure, Options};

/// Say lines to a server, and print its replies
#[derive(Args)]
pub(super) struct Send {
    #[command(flatten)]
    at: At,
    /// The lines; none, or `-`: those of standard input. Options come before them
    #[arg(allow_hyphen_values = true)]
    line: Vec<OsString>,
}

impl Send {
    /// Says them, and prints the replies.
    pub(super) fn run(self, options: &Options) -> Result<(), Failure> {
        if self.line.is_empty() || self.line == ["-"] {
            return self.at.talk(options, &mut io::stdin().lock());
        }
        let mut text = Vec::new();
        for line in self.line {
            text.extend(line.into_encoded_bytes());
            text.push(b'\n');
        }
        self.at.talk(options, &mut text.as_slice())
    }
}
