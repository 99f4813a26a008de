//! `proxy-herd keygen`: the keys of encrypted links, an authority (CA) and a certificate for each server of the topology.
//!
//! What exists is kept and said, never replaced: so adding a server is to run it again, and renewing a server's certificate is to
//! remove its two files first. A file is there whole or not at all, and of a key that has no certificate, because something went
//! wrong between the two, it is said that its certificate is made now. `authority` signs, `files` writes.

mod authority;
mod files;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;
use rustls::time_provider::DefaultTimeProvider;

use self::authority::{Authority, Term};
use self::files::{CERTIFICATE, KEY, create, drafts};
use super::{Failure, Options, settings};
use crate::herd::name::ServerName;
use crate::herd::topology::Topology;
use crate::server::{KeyFiles, Keys, Pem};

/// Make the keys of encrypted links: an authority (CA), and for each server of the topology a certificate and its key
#[derive(Args)]
pub(super) struct Keygen {
    /// The folder to put them into; what it has already is kept
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// For how many days the servers' certificates are good, 1 to 3650
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
}

impl Keygen {
    pub(super) fn run(self, options: &Options) -> Result<(), Failure> {
        let topology = settings::topology(options)?;
        topology.check_certificates().map_err(|errors| {
            Failure::Configuration(format!("not every server of this topology can have a certificate:\n{errors}"))
        })?;
        let mut folder = Folder::open(self.out, self.days)?;
        let result = folder.complete(&topology);
        // Also what was done before something went wrong.
        if result.is_ok() {
            folder.say_what_next(&topology);
        }
        write!(io::stdout(), "{}", folder.said).map_err(Failure::of_output)?;
        result
    }
}

/// Where the keys are, and what is to be said of them.
struct Folder {
    path: PathBuf,
    days: u16,
    now: SystemTime,
    said: String,
    /// Whose kept files are no good.
    faulty: Vec<String>,
}

impl Folder {
    fn open(path: PathBuf, days: u16) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::Failed(format!("--out: {}: {error}", path.display()));
        if !path.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
        }
        if let Some(draft) = drafts(&path).map_err(failed)?.first() {
            return Err(Failure::Failed(format!(
                "{} is left over from a keygen that was cut off, or still runs, and may hold a key: remove it, then run keygen again",
                draft.display()
            )));
        }
        Ok(Self { path, days, now: SystemTime::now(), said: String::new(), faulty: Vec::new() })
    }

    fn complete(&mut self, topology: &Topology) -> Result<(), Failure> {
        let lacks = |name: &&ServerName| !KeyFiles::new(&self.path, name).certificate.exists();
        let names: Vec<&ServerName> = topology.servers().iter().map(|server| &server.name).collect();
        let lacking = names.iter().copied().filter(lacks).count();
        let authority = self.authority(lacking)?;
        for name in names {
            let files = KeyFiles::new(&self.path, name);
            match (&authority, files.certificate.exists()) {
                (_, true) => self.keep(name, &files),
                (Some(authority), false) => self.make(authority, name, &files)?,
                (None, false) => unreachable!("without its key nobody may lack a certificate"),
            }
        }
        match self.faulty.join(", ") {
            none if none.is_empty() => Ok(()),
            names => Err(Failure::Failed(format!(
                "what is kept of {names} is no good, as is said above, and was not replaced"
            ))),
        }
    }

    /// The authority with its key, or `None` if that is elsewhere and not needed.
    fn authority(&mut self, lacking: usize) -> Result<Option<Authority>, Failure> {
        let (certificate, key) = (self.path.join("ca.pem"), self.path.join("ca.key"));
        let authority = match (certificate.exists(), key.exists()) {
            (true, false) if lacking == 0 => {
                self.say(format_args!("kept {}; its key is not here, and not needed", certificate.display()));
                return Ok(None);
            }
            (true, false) => {
                return Err(Failure::Failed(format!(
                    "{} is not there, and has to sign for {lacking} of the servers: bring it back; or remove {} for a new \
                     authority, whose ca.pem every server needs then",
                    key.display(),
                    certificate.display()
                )));
            }
            (true, true) => {
                self.say(format_args!("kept {} and {}", certificate.display(), key.display()));
                return Authority::read(&key).map(Some);
            }
            (false, true) => {
                self.say(format_args!("{} is here without its certificate, which is made now", key.display()));
                Authority::read(&key)?
            }
            (false, false) => {
                let authority = Authority::new()?;
                create(&key, KEY, &authority.key())?;
                self.say(format_args!("made {}: the key of the herd's authority (CA)", key.display()));
                authority
            }
        };
        let term = Term { from: self.now - EARLIER, until: self.now + AUTHORITY_TIME };
        create(&certificate, CERTIFICATE, &authority.certificate(term)?)?;
        self.say(format_args!("made {}: the authority's certificate", certificate.display()));
        Ok(Some(authority))
    }

    /// A certificate for a server that has none, and a key if it has none either.
    fn make(&mut self, authority: &Authority, name: &ServerName, files: &KeyFiles) -> Result<(), Failure> {
        let KeyFiles { authorities, certificate, key } = files;
        let failed = |error: io::Error| Failure::Failed(format!("{}: {error}", authorities.display()));
        let (pair, found) = match key.exists() {
            true => (authority::key_of(key)?, true),
            false => (authority::new_key()?, false),
        };
        let term = Term { from: self.now - EARLIER, until: self.now + DAY * self.days.into() };
        let signed = authority.sign(name, &pair, term)?;
        let (trusted, secret) = (fs::read(authorities).map_err(failed)?, pair.serialize_pem());
        let pem = Pem { authorities: &trusted, certificate: signed.as_bytes(), key: secret.as_bytes() };
        Keys::new(name, pem, Arc::new(DefaultTimeProvider)).map_err(|error| {
            Failure::Failed(format!("what ca.key signs, ca.pem does not vouch for: do they belong together? ({error})"))
        })?;
        if found {
            self.say(format_args!("{} is here without its certificate, which is made now", key.display()));
        } else {
            create(key, KEY, &secret)?;
            self.say(format_args!("made {}", key.display()));
        }
        create(certificate, CERTIFICATE, &signed)?;
        let days = self.days;
        self.say(format_args!("made {}, good for {days} days", certificate.display()));
        Ok(())
    }

    fn keep(&mut self, name: &ServerName, files: &KeyFiles) {
        let KeyFiles { certificate, key, .. } = files;
        if !key.exists() {
            return self.say(format_args!(
                "kept {0}; its key is not here (if it is nowhere, remove {0} and run keygen again)",
                certificate.display()
            ));
        }
        match Keys::read(&self.path, name, Arc::new(DefaultTimeProvider)) {
            Ok(_) => self.say(format_args!("kept {} and {}", certificate.display(), key.display())),
            Err(error) => {
                self.faulty.push(name.to_string());
                self.say(format_args!("kept {} and {}, but {error}", certificate.display(), key.display()));
            }
        }
    }

    fn say_what_next(&mut self, topology: &Topology) {
        let folder = self.path.display().to_string();
        let said = &mut self.said;
        if topology.security().is_none() {
            let keys = serde_json::Value::from(folder.as_str());
            let _ = writeln!(said, "\nWrite into the topology: \"security\": {{ \"keys\": {keys} }}");
        }
        let _ = write!(
            said,
            "\nEach server needs three files in the folder that security.keys names on its machine: ca.pem, <SERVER>.pem and\n\
             <SERVER>.key, as they are here. ca.key is for the next keygen only: whoever has it can join the herd, so keep it where no\n\
             server runs. A server that runs takes new files at SIGHUP.\n"
        );
    }

    fn say(&mut self, what: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.said, "{what}");
    }
}

/// Clocks of machines differ: a certificate is good a little before it was made.
const EARLIER: Duration = DAY;

/// An authority outlives what it signs, twice: 20 years.
const AUTHORITY_TIME: Duration = Duration::from_secs(2 * 3650 * 24 * 3600);

const DAY: Duration = Duration::from_secs(24 * 3600);
