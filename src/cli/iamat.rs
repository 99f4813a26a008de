//! `proxy-herd iamat`: tells a server where a client is.

use std::ffi::OsString;
use std::time::SystemTime;

use clap::Args;

use super::talk::At;
use super::{Failure, Options};

/// Tell a server where a client is
#[derive(Args)]
pub(super) struct Iamat {
    #[command(flatten)]
    at: At,
    /// Who it is: any word
    #[arg(allow_hyphen_values = true)]
    client: OsString,
    /// Where it is, as ISO 6709: +34.068930-118.445127
    #[arg(allow_hyphen_values = true)]
    position: OsString,
    /// When it was there, in seconds since 1970 [default: now]
    #[arg(allow_hyphen_values = true)]
    timestamp: Option<OsString>,
}

impl Iamat {
    /// Says it, and prints the reply.
    pub(super) fn run(self, options: &Options) -> Result<(), Failure> {
        let timestamp = self.timestamp.unwrap_or_else(|| now().into());
        let words = ["IAMAT".into(), self.client, self.position, timestamp];
        let line = words.map(OsString::into_encoded_bytes).join(&b' ');
        self.at.talk(options, &mut [&line, b"\n".as_slice()].concat().as_slice())
    }
}

/// The system's clock as a timestamp of the wire.
pub(super) fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}
