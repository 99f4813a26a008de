//! The `proxy-herd` command: reads argv, hands over to the library, returns the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    proxy_herd::cli::run(std::env::args_os())
}
