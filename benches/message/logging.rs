//! What log lines cost: one, and an IAMAT with those that the log has for it. They are written to nowhere, and not in the meter.

use std::os::unix::fs::symlink;
use std::sync::LazyLock;

use log::{LevelFilter, Log, Record};
use proxy_herd::cli::logs::Logs;
use proxy_herd::herd::name::ServerName;
use proxy_herd::server::Style;
use proxy_herd::wire::escaped::Escaped;

use super::parts::{FEW, OPERATIONS, Round};
use super::servers;

/// As a server says that it has received a line.
pub(super) fn line() -> Round {
    let logs = *LOGS;
    Box::new(move |meter| {
        logs.flush();
        meter(&mut || {
            for _ in 0..OPERATIONS {
                let record = format_args!("{} < {}", "c#1", Escaped(IAMAT));
                logs.log(&Record::builder().level(log::Level::Debug).target(SERVER).args(record).build());
            }
        });
    })
}

/// As `servers::iamat`, with a line for what came and one for the answer.
pub(super) fn iamat(style: Style) -> Round {
    let logs = *LOGS;
    let mut round = servers::iamat(style, servers::BATCH, FEW);
    Box::new(move |meter| {
        logs.flush();
        log::set_max_level(LevelFilter::Debug);
        round(meter);
        log::set_max_level(LevelFilter::Off);
    })
}

/// The log of this process; off, unless somebody turns it on.
static LOGS: LazyLock<&Logs> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    for file in [SERVER, "proxy-herd"] {
        symlink("/dev/null", folder.path().join(format!("{file}.log"))).expect("a new name");
    }
    let name = ServerName::parse(SERVER.as_bytes()).expect("a name");
    Logs::to_folder(folder.path(), [&name]).expect("writable").install(LevelFilter::Off)
});

const SERVER: &str = "Goloman";
const IAMAT: &[u8] = b"IAMAT client-0000000 +34.068930-118.445127 1520023934.000000000";
