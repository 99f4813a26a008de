//! `proxy-herd up`: every server of the topology in one process, on one loop.

use super::{Failure, Options, serve, settings};

/// Serves until a signal.
pub(super) fn up(options: &Options) -> Result<(), Failure> {
    let topology = settings::topology(options)?;
    let names = topology.servers().iter().map(|server| server.name.clone()).collect();
    serve::serve(options, &topology, names)
}
