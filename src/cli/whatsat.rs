//! `proxy-herd whatsat`: asks a server what is near a client.

use std::ffi::OsString;

use clap::Args;

use super::talk::At;
use super::{Failure, Options};

/// Ask a server what is near a client
#[derive(Args)]
pub(super) struct Whatsat {
    #[command(flatten)]
    at: At,
    /// Whose surroundings
    #[arg(allow_hyphen_values = true)]
    client: OsString,
    /// How far around, in kilometres: 0 to 50
    radius: OsString,
    /// How many places at the most: 0 to 20
    bound: OsString,
}

impl Whatsat {
    /// Asks, and prints the answer.
    pub(super) fn run(self, options: &Options) -> Result<(), Failure> {
        let words = ["WHATSAT".into(), self.client, self.radius, self.bound];
        let line = words.map(OsString::into_encoded_bytes).join(&b' ');
        self.at.talk(options, &mut [&line, b"\n".as_slice()].concat().as_slice())
    }
}
