//! `proxy-herd check`: is the topology right, and what does it say?

use std::io::{self, Write};

use super::{Failure, Options, settings};

/// Prints the topology as a table; what is wrong with it is the failure.
pub(super) fn check(options: &Options) -> Result<(), Failure> {
    let topology = settings::topology(options)?;
    writeln!(io::stdout(), "{topology}").map_err(Failure::of_output)
}
