//! An example that runs, and a socket to talk to it; waits for what is said, never for a time.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

/// An example under way, and the lines of its standard output. Killed when dropped.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(folder().join(name));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// A server, and where it listens.
    #[track_caller]
    pub(crate) fn serve(name: &str, arguments: &[&str]) -> (Self, SocketAddr) {
        let program = Self::start(name, arguments);
        let line = program.line();
        let address = line.strip_prefix("Serving on ").and_then(|address| address.parse().ok());
        (program, address.unwrap_or_else(|| panic!("{name}: no address in {line:?}")))
    }

    /// It has ended, as somebody listens at `address` already.
    #[track_caller]
    pub(crate) fn ends_shut_out(self, address: SocketAddr) {
        let (code, lines, error) = self.end();
        assert_eq!((code, lines), (Some(1), vec![]));
        assert!(error.starts_with(&format!("Error: \"{address}: Address")) && error.contains("in use"), "{error}");
    }

    /// The next line that it prints.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("no line: {error}"))
    }

    #[track_caller]
    pub(crate) fn prints(&self, expected: &str) {
        assert_eq!(self.line(), expected);
    }

    /// Prints a line with each of `parts` in it.
    #[track_caller]
    pub(crate) fn prints_of(&self, parts: &[&str]) {
        let line = self.line();
        assert!(parts.iter().all(|part| line.contains(part)), "{parts:?} are not in {line:?}");
    }

    /// Waits until it has no socket but the one it listens with.
    #[track_caller]
    pub(crate) fn has_closed_all(&self) {
        let folder = format!("/proc/{}/fd", self.child.id());
        let is_socket =
            |link: &Path| fs::read_link(link).is_ok_and(|name| name.to_string_lossy().starts_with("socket:"));
        until("all but one are closed", || {
            let links = fs::read_dir(&folder).expect("Linux has it").map(|link| link.expect("its own").path());
            links.filter(|link| is_socket(link)).count() == 1
        });
    }

    pub(crate) fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success(), "{kill}");
    }

    /// Waits for its end: the exit code, the lines that were not asked for yet, and its standard error.
    #[track_caller]
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<String>, String) {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => rest.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end; it said {rest:?}"),
            }
        }
        let mut error = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut error).expect("text");
        (self.child.wait().expect("it has ended").code(), rest, error)
    }
}

impl Drop for Program {
    #[expect(clippy::print_stderr, reason = "why it fell silent, for whoever reads of the failed test")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let (true, Some(stderr)) = (thread::panicking(), &mut self.child.stderr) {
            let mut said = String::new();
            let _ = stderr.read_to_string(&mut said);
            eprintln!("the example said:\n{said}");
        }
    }
}

/// One end of a connection with an example.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).expect("somebody listens"))
    }

    #[track_caller]
    pub(crate) fn accept(listener: &TcpListener) -> Self {
        // On Linux this is for accepting, too.
        SockRef::from(listener).set_read_timeout(Some(PATIENCE)).expect("set");
        Self::new(listener.accept().expect("somebody connects").0)
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.set_write_timeout(Some(PATIENCE)).expect("set");
        Self(stream)
    }

    pub(crate) fn name(&self) -> SocketAddr {
        self.0.local_addr().expect("it stands")
    }

    #[track_caller]
    pub(crate) fn says(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("sent");
    }

    /// Reads as much as `expected`, which it must be.
    #[track_caller]
    pub(crate) fn hears(&mut self, expected: &str) {
        let mut heard = vec![0; expected.len()];
        let result = self.0.read_exact(&mut heard);
        assert_eq!(String::from_utf8_lossy(&heard), expected, "{result:?}");
    }

    /// Sends a FIN.
    pub(crate) fn ends(&self) {
        self.0.shutdown(Shutdown::Write).expect("still open");
    }

    /// Sends a reset.
    pub(crate) fn resets(self) {
        SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).expect("set");
    }

    /// The other has ended in good order, and has said nothing more.
    #[track_caller]
    pub(crate) fn hears_the_end(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("a FIN");
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }

    /// The other was reset, whatever it has said before.
    #[track_caller]
    pub(crate) fn hears_a_reset(&mut self) {
        let error = io::copy(&mut self.0, &mut io::sink()).expect_err("no good end");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    /// The other has left, no matter how, and has said nothing more.
    #[track_caller]
    pub(crate) fn is_left(&mut self) {
        match self.0.read(&mut [0]) {
            Ok(0) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            other => panic!("still there: {other:?}"),
        }
    }

    /// Sends as much as the other takes without being read from in turn, and a little more: how much it was.
    #[track_caller]
    pub(crate) fn floods(&mut self) -> usize {
        // Nothing is wrong if a slow machine passes for an unwilling one.
        self.0.set_write_timeout(Some(Duration::from_millis(200))).expect("set");
        let chunk = [b'x'; 64 * 1024];
        let mut sent = 0;
        loop {
            assert!(sent < 64 << 20, "it takes without end what nobody reads");
            match self.0.write(&chunk) {
                Ok(count) => sent += count,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break,
                Err(error) => panic!("{error}"),
            }
            // Only part of it was taken, until the time was over.
            if !sent.is_multiple_of(chunk.len()) {
                break;
            }
        }
        self.0.set_write_timeout(Some(PATIENCE)).expect("set");
        sent
    }

    /// Reads what [`floods`](Self::floods) has sent.
    #[track_caller]
    pub(crate) fn drinks(&mut self, count: usize) {
        let read = io::copy(&mut (&self.0).take(count as u64), &mut io::sink()).expect("data");
        assert_eq!(read, count as u64);
    }
}

/// Waits until nobody listens there any more.
#[track_caller]
pub(crate) fn is_deserted(address: SocketAddr) {
    until("nobody listens", || TcpStream::connect(address).is_err());
}

/// Asks until it is so.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let late = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < late, "it is not so that {what}");
        thread::yield_now();
    }
}

/// Where cargo puts the examples of this profile. They are built first: `cargo test --test examples` does not, and would run
/// yesterday's.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = env::current_exe().expect("a path");
        let profile = test.ancestors().nth(2).expect("cargo puts tests into target/<profile>/deps");
        let name = profile.file_name().expect("a profile has a name").to_string_lossy().replace("debug", "dev");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--examples", "--profile", &name]).current_dir(env!("CARGO_MANIFEST_DIR"));
        // What cargo tells a test is no business of a build: some crates would be built anew because of it.
        for (name, _) in env::vars_os() {
            if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                cargo.env_remove(name);
            }
        }
        assert!(cargo.status().expect("cargo runs").success(), "the examples do not build");
        profile.join("examples")
    })
}

/// How long something may take that takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);
