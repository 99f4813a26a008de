//! Who works on which core, and who goes first there.
//!
//! A thread inherits both from the one that has started it.

use std::process::{Command, Stdio};
use std::sync::LazyLock;

use core_affinity::CoreId;

/// A core.
pub(crate) enum Core {
    First,
    Last,
}

/// Keeps this thread on a core. Where the system does not let us, we go where it puts us.
pub(crate) fn pin(core: Core) {
    let core = match core {
        Core::First => CORES.first(),
        Core::Last => CORES.last(),
    };
    core.copied().map(core_affinity::set_for_current);
}

/// Lets others on this core go before this thread, if the system has the means.
pub(crate) fn step_back() {
    let thread = std::fs::read_link("/proc/thread-self").ok();
    if let Some(thread) = thread.as_ref().and_then(|path| path.file_name()) {
        let chrt = Command::new("chrt").args(["--idle", "--pid", "0"]).arg(thread).stdout(Stdio::null()).status();
        drop(chrt);
    }
}

/// Asked once, by a thread that is not pinned yet.
static CORES: LazyLock<Vec<CoreId>> = LazyLock::new(|| core_affinity::get_core_ids().unwrap_or_default());
