//! `proxy-herd places`: the stand-in for Places on a port of its own, for people who build clients, until a signal.
//!
//! SIGTERM and SIGINT end it at once, SIGUSR1 opens the log again. It serves HTTP, or with `--certificate` HTTPS by a certificate that is
//! made at each start; the file gets there once the address is had, whole, and over one that holds another certificate and nothing else.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use clap::Args;
use log::{Level, Log};
use memchr::memmem;

use super::{Failure, Options, settings, tell};
use crate::driver::Sockets;
use crate::event_loop::{Address, EventLoop, Loop, Lost, Protocol, ProtocolFactory, ServerSecurity, Signal};
use crate::places::faults::Faults;
use crate::places::question::{LEGACY_PATH, NEW_PATH};
use crate::server::{Identity, Standin};

/// Run the built-in places on a port of their own: what Google answers, for people who build clients
///
/// It answers Nearby Search as Google does, the legacy API and Places API (New), from data of its own: towns of the whole world, and
/// places in Helsinki's centre. Any key will do.
///
/// And it can be told to misbehave: for all requests by --faults, for one by its path, as in
/// http://127.0.0.1:11650/faults/delay=2000,chunked/v1/places:searchNearby
#[derive(Args)]
#[command(after_long_help = faults_help())]
pub(super) struct Places {
    /// Where to listen; with port 0, on a port that the system chooses
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:11650")]
    listen: SocketAddr,
    /// Serve HTTPS, with a certificate made now; FILE gets it (PEM), for curl --cacert, places.ca_file and the like
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// What goes wrong with answers to requests that name no faults themselves; --help has the list
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true, value_parser = Faults::parse)]
    faults: Faults,
}

impl Places {
    pub(super) fn run(self, options: &Options) -> Result<(), Failure> {
        let Self { listen, certificate, faults } = self;
        let certificate = certificate.map(|file| Certificate::make(file, listen.ip())).transpose()?;
        let security = certificate.as_ref().map_or(ServerSecurity::Plain, |certificate| certificate.identity.server());
        let standin = Standin::new(faults, Level::Debug);
        let mut sockets = Sockets::new().map_err(Failure::of_system)?;
        let logs = settings::logs(options, &[])?.install(options.level());

        let mut event_loop = EventLoop::new(Ok(()), Instant::now(), SystemTime::now());
        event_loop.enter(|event_loop, _| {
            for signal in [Signal::Terminate, Signal::Interrupt] {
                event_loop.add_signal_handler(signal, |event_loop, _| event_loop.stop());
            }
            event_loop.add_signal_handler(Signal::User1, |_, _| logs.reopen());
            event_loop.listen(listen, security, Entrance { standin, certificate });
            event_loop.before_sleep(|_, _| logs.flush());
        });
        let result = sockets.run(&mut event_loop);
        logs.flush();
        result.map_err(Failure::of_system)?;
        event_loop.into_state()
    }
}

/// What became of it so far.
type Outcome = Result<(), Failure>;

struct Entrance {
    standin: Standin,
    certificate: Option<Certificate>,
}

impl ProtocolFactory<Outcome> for Entrance {
    fn protocol(&mut self, _: &mut Outcome) -> Box<dyn Protocol<Outcome>> {
        Box::new(self.standin.conversation())
    }

    fn listening(&mut self, event_loop: &mut Loop<'_, Outcome>, outcome: &mut Outcome, address: &Address) {
        let address = address.ip().expect("it was asked to listen on one");
        if let Err(failure) = self.certificate.as_ref().map_or(Ok(()), Certificate::write) {
            *outcome = Err(failure);
            return event_loop.stop();
        }
        log::info!("listens on {address}");
        tell(&greeting(address, self.certificate.as_ref()));
    }

    fn failed(&mut self, event_loop: &mut Loop<'_, Outcome>, outcome: &mut Outcome, error: io::Error) {
        *outcome =
            Err(Failure::Failed(format!("places cannot listen on {error}; --listen gives them another address")));
        event_loop.stop();
    }

    fn handshake_failed(&mut self, _: &mut Loop<'_, Outcome>, _: &mut Outcome, lost: &Lost) {
        let peer = lost.peer.map_or_else(String::new, |peer| format!(" from {peer}"));
        let why = lost.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        log::info!("{}{peer} did not get through the TLS handshake{why}", lost.id);
    }
}

/// What HTTPS is served with, and the file for those who are to trust it.
struct Certificate {
    file: PathBuf,
    identity: Identity,
}

impl Certificate {
    fn make(file: PathBuf, host: IpAddr) -> Result<Self, Failure> {
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        let host = host.to_string();
        if !names.contains(&host) {
            names.push(host);
        }
        check_replaceable(&file)?;
        let identity = Identity::of_hosts(names, SystemTime::now());
        Ok(Self { file, identity: identity.map_err(|error| Failure::Failed(error.to_string()))? })
    }

    /// By way of another file, so that nobody reads half of it.
    fn write(&self) -> Result<(), Failure> {
        let mut draft = self.file.clone().into_os_string();
        draft.push(".new");
        let written = fs::write(&draft, self.identity.certificate());
        written.and_then(|()| fs::rename(&draft, &self.file)).map_err(|error| unwritten(&self.file, &error))
    }
}

/// Whether `file` may be written: it is not there, or another certificate is all that is in it.
fn check_replaceable(file: &Path) -> Result<(), Failure> {
    let mut text = Vec::new();
    let read = File::open(file).and_then(|opened| opened.take(LONGEST + 1).read_to_end(&mut text));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unwritten(file, &error)),
        Ok(length)
            if length as u64 <= LONGEST
                && text.starts_with(BEGIN)
                && memmem::find_iter(&text, b"BEGIN ").count() == 1 =>
        {
            Ok(())
        }
        Ok(_) => Err(Failure::Configuration(format!(
            "--certificate: {} holds something else than one certificate: it is not replaced; give another name",
            file.display()
        ))),
    }
}

fn unwritten(file: &Path, error: &io::Error) -> Failure {
    Failure::Configuration(format!("--certificate: {}: {error}", file.display()))
}

/// Where it listens, and how to ask it.
fn greeting(address: SocketAddr, certificate: Option<&Certificate>) -> String {
    let (ip, port) = (address.ip(), address.port());
    // Who listens everywhere is asked here.
    let host = if ip.is_unspecified() { format!("localhost:{port}") } else { address.to_string() };
    let (scheme, trust) = match certificate {
        None => ("http", String::new()),
        Some(Certificate { file, .. }) => ("https", format!("--cacert {} ", file.display())),
    };
    let base = format!("{scheme}://{host}");
    [
        format!("places listen on {base}"),
        format!("ask the legacy API: curl {trust}'{base}{LEGACY_PATH}?{LEGACY_QUESTION}'"),
        format!("ask the new API: curl {trust}{NEW_QUESTION} {base}{NEW_PATH}"),
    ]
    .join("\nproxy-herd: ")
}

fn faults_help() -> String {
    format!(
        "Faults, divided by commas. Those that decide the same thing exclude each other, all others go together:\n\n{}\n\
         What is asked and how it is answered is logged on standard error; -q leaves that out, -v tells more.\n\
         SIGTERM and SIGINT stop it. Exit codes: 0 worked, 1 failed (the address is in use), 2 usage or configuration.",
        Faults::table()
    )
}

const LEGACY_QUESTION: &str = "location=34.068930,-118.445127&radius=10000&key=any";

const NEW_QUESTION: &str = "-H 'X-Goog-Api-Key: any' -H 'X-Goog-FieldMask: places.displayName,places.location' \
                            -H 'Content-Type: application/json' -d '{\"locationRestriction\":{\"circle\":{\"center\":\
                            {\"latitude\":34.068930,\"longitude\":-118.445127},\"radius\":10000}}}'";

/// How a certificate begins.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The longest file that is taken for a certificate, in bytes; those made here have less than 1 KiB.
const LONGEST: u64 = 16 * 1024;
