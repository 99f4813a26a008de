//! `proxy-herd <SERVER>`: one server in the foreground.

use super::{Failure, Options, serve, settings};

/// Serves until a signal; fails if the topology has no `server`.
pub(super) fn run(options: &Options, server: &str) -> Result<(), Failure> {
    let topology = settings::topology(options)?;
    let name = settings::server(&topology, server)?.name.clone();
    serve::serve(options, &topology, vec![name])
}
