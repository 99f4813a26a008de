//! The `proxy-herd` command: reads argv, hands over to the library, returns the exit code.

fn main() {}
