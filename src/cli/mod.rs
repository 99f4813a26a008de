//! The command line: the only room that prints, exits, or reads the environment.
//!
//! Replies, tables and the demo go to standard output, everything else to standard error. Exit codes: 0 it worked, 1 it
//! failed, 2 it was asked for the wrong way (usage, topology, key). A reader of standard output that has seen enough
//! (`| head`) ends the command quietly. There is a file for each subcommand; `serve` is what `run` and `up` share, `client`
//! and `talk` what `iamat`, `whatsat`, `send` and `demo` do, `settings` what comes from files and the environment.

mod check;
mod client;
mod demo;
mod iamat;
mod inherited;
mod keygen;
mod load;
pub mod logs;
mod places;
mod run;
mod send;
mod serve;
mod settings;
mod talk;
mod up;
mod whatsat;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use log::LevelFilter;

use crate::server::Style;

/// Runs the command that `arguments`, the program's name first, ask for.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let result = Arguments::try_parse_from(arguments).map_err(Failure::Usage).and_then(obey);
    let Err(failure) = result else { return ExitCode::SUCCESS };
    let code = failure.exit_code();
    match failure {
        Failure::Usage(error) => drop(error.print()),
        Failure::Configuration(_) | Failure::Failed(_) => tell(&failure.to_string()),
        Failure::Refused | Failure::ReaderGone => {}
    }
    ExitCode::from(code)
}

/// An application server herd: servers that remember where clients are, tell each other, and know what is near.
#[derive(Parser)]
#[command(name = "proxy-herd", version, override_usage = USAGE, after_help = AFTER_HELP)]
#[command(arg_required_else_help = true, subcommand_negates_reqs = true, disable_help_subcommand = true)]
struct Arguments {
    /// Run this server of the topology in the foreground
    #[arg(required = true)]
    server: Option<String>,
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What holds for every subcommand.
#[derive(Args)]
struct Options {
    /// The herd's servers and links [default: ./topology.json if there is one, else the built-in herd]
    #[arg(long, env = "HERD_TOPOLOGY", value_name = "FILE", global = true)]
    topology: Option<PathBuf>,
    /// Serve connections by callbacks (a protocol each) or by streams (a task each); what is said is the same
    #[arg(long, value_name = "STYLE", default_value = "callbacks", value_parser = style_parser(), global = true)]
    style: Style,
    /// Write each server's log to DIR/<SERVER>.log, not to standard error
    #[arg(long, value_name = "DIR", global = true)]
    log_dir: Option<PathBuf>,
    /// Log everything; in the demo, too
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
    /// Log no lines received and sent, and nothing that is asked of Places or said by it
    #[arg(short, long, global = true)]
    quiet: bool,
}

/// `callbacks` or `streams`.
fn style_parser() -> impl TypedValueParser<Value = Style> {
    PossibleValuesParser::new(["callbacks", "streams"]).map(|name| match name.as_str() {
        "streams" => Style::Streams,
        _ => Style::Callbacks,
    })
}

#[derive(Subcommand)]
enum Command {
    /// Run every server of the topology in this process, on one loop
    Up,
    /// Show a herd at work: servers, clients, every line; ends by itself
    Demo,
    /// Check the topology, and print it
    Check,
    Keygen(keygen::Keygen),
    Places(places::Places),
    Iamat(iamat::Iamat),
    Whatsat(whatsat::Whatsat),
    Send(send::Send),
    Load(load::Load),
}

impl Options {
    /// How much is logged.
    fn level(&self) -> LevelFilter {
        match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::Info,
            (false, false) => LevelFilter::Debug,
            (false, true) => LevelFilter::Trace,
        }
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
enum Failure {
    /// clap's errors, and its answers to `--help` and `--version`.
    Usage(clap::Error),
    /// The topology, the key or the name of a server: what is wrong, and the remedy.
    Configuration(String),
    /// It was tried: what went wrong, and the remedy.
    Failed(String),
    /// A server answered `?`, which was shown.
    Refused,
    /// Nobody reads standard output any more.
    ReaderGone,
}

impl Failure {
    /// Of writing to standard output.
    fn of_output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Failed(format!("standard output cannot be written: {error}")),
        }
    }

    /// Of the poll, or of what the system had too little of.
    fn of_system(error: io::Error) -> Self {
        Self::Failed(format!("the system refuses: {error}"))
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(error) => u8::from(error.use_stderr()) * 2,
            Self::Configuration(_) => 2,
            Self::Failed(_) | Self::Refused => 1,
            Self::ReaderGone => 0,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => error.fmt(formatter),
            Self::Configuration(why) | Self::Failed(why) => formatter.write_str(why),
            Self::Refused => formatter.write_str("the server has refused"),
            Self::ReaderGone => formatter.write_str("nobody reads the output"),
        }
    }
}

fn obey(Arguments { server, options, command }: Arguments) -> Result<(), Failure> {
    match (server, command) {
        (Some(server), None) => run::run(&options, &server),
        (None, Some(Command::Up)) => up::up(&options),
        (None, Some(Command::Demo)) => demo::demo(&options),
        (None, Some(Command::Check)) => check::check(&options),
        (None, Some(Command::Keygen(keygen))) => keygen.run(&options),
        (None, Some(Command::Places(places))) => places.run(&options),
        (None, Some(Command::Iamat(iamat))) => iamat.run(&options),
        (None, Some(Command::Whatsat(whatsat))) => whatsat.run(&options),
        (None, Some(Command::Send(send))) => send.run(&options),
        (None, Some(Command::Load(load))) => load.run(&options),
        (Some(_), Some(_)) | (None, None) => {
            let what = "give the name of one server, or one command";
            Err(Failure::Usage(Arguments::command().error(ErrorKind::ArgumentConflict, what)))
        }
    }
}

/// The words that are commands, so that no server can be run that is called so.
fn commands() -> impl Iterator<Item = String> {
    Arguments::command().get_subcommands().map(|command| command.get_name().to_owned()).collect::<Vec<_>>().into_iter()
}

/// Says something on standard error; if nobody can hear it, nobody does.
fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "proxy-herd: {text}");
}

const USAGE: &str = "\
proxy-herd [OPTIONS] <SERVER>
       proxy-herd [OPTIONS] <COMMAND>";

const AFTER_HELP: &str = "\
GOOGLE_PLACES_API_KEY holds Google's key, for answers from Google Places; so may the file places.key_file names.

Signals: SIGTERM and SIGINT stop in good order, a second one at once; SIGHUP reads the topology's neighbours and the
links' keys again; SIGUSR1 opens the logs again. Exit codes: 0 worked, 1 failed, 2 usage or configuration.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_of_the_style_that_is_asked_for() {
        for (words, expected) in [
            ("up", Style::Callbacks),
            ("up --style callbacks", Style::Callbacks),
            ("up --style streams", Style::Streams),
            ("--style=streams demo", Style::Streams),
            ("Goloman --style streams", Style::Streams),
        ] {
            let words = ["proxy-herd"].into_iter().chain(words.split(' '));
            let arguments = Arguments::try_parse_from(words).map_err(|error| error.to_string());
            assert_eq!(arguments.map(|arguments| arguments.options.style), Ok(expected));
        }
    }
}
