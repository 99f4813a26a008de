//! The command line: the only room that prints, exits, or reads the environment.

pub mod log;
