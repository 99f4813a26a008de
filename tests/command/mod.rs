//! The command in folders and on ports of its own, for the tests of the command line; waits for what is said, never for a time.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A folder with a topology.json on ports that are free.
pub(crate) struct Herd {
    pub(crate) folder: TempDir,
    servers: Vec<Place>,
    rest: String,
}

/// A server's name, and where it listens for clients and for neighbours.
pub(crate) type Place = (String, SocketAddr, SocketAddr);

impl Herd {
    /// `rest` is what else the topology says.
    pub(crate) fn new(names: &[&str], links: &[(&str, &str)], rest: &str) -> Self {
        let servers = names.iter().map(|name| (name.to_string(), free_address(), free_address())).collect();
        let herd = Self { folder: folder(), servers, rest: rest.to_owned() };
        fs::write(herd.folder.path().join("topology.json"), herd.topology(names, links)).expect("written");
        herd
    }

    pub(crate) fn topology(&self, names: &[&str], links: &[(&str, &str)]) -> String {
        topology(self.servers.iter().filter(|(name, ..)| names.contains(&name.as_str())), links, &self.rest)
    }

    /// Another file, with one server that has no neighbours.
    pub(crate) fn alone(&self, name: &str) -> String {
        let file = "alone.json";
        fs::write(self.folder.path().join(file), self.topology(&[name], &[])).expect("written");
        file.to_owned()
    }

    pub(crate) fn doors(&self, name: &str) -> (SocketAddr, SocketAddr) {
        let (_, clients, peers) = self.servers.iter().find(|(other, ..)| other == name).expect("one of the herd");
        (*clients, *peers)
    }

    pub(crate) fn clients(&self, name: &str) -> SocketAddr {
        self.doors(name).0
    }

    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(format!("logs/{name}.log"))).expect("a log")
    }

    pub(crate) fn start(&self, style: &str, words: &[&str]) -> Running {
        Running::new(self.command(style, words))
    }

    pub(crate) fn start_with(&self, style: &str, words: &[&str], variable: &str, value: &str) -> Running {
        let mut command = self.command(style, words);
        command.env(variable, value);
        Running::new(command)
    }

    fn command(&self, style: &str, words: &[&str]) -> Command {
        let mut command = command(&self.folder, &styled(style, words));
        command.stdout(Stdio::null());
        command
    }
}

/// The text of a topology.
pub(crate) fn topology<'a>(servers: impl IntoIterator<Item = &'a Place>, links: &[(&str, &str)], rest: &str) -> String {
    let server =
        |(name, clients, peers): &Place| format!(r#""{name}": {{ "clients": "{clients}", "peers": "{peers}" }}"#);
    let servers: Vec<String> = servers.into_iter().map(server).collect();
    let links: Vec<String> = links.iter().map(|(one, other)| format!(r#"["{one}", "{other}"]"#)).collect();
    let (servers, links) = (servers.join(", "), links.join(", "));
    format!(r#"{{ "herd": "test", "servers": {{ {servers} }}, "links": [{links}], {rest} }}"#)
}

/// A command that goes on until it is told to stop, and the lines of its standard error.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    /// What was read of it.
    pub(crate) said: String,
    /// How long a line that is waited for may take.
    pub(crate) patience: Duration,
}

impl Running {
    pub(crate) fn new(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, said: String::new(), patience: PATIENCE }
    }

    /// Reads on until a line with `part` in it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, part: &str) {
        loop {
            let Ok(line) = self.lines.recv_timeout(self.patience) else { panic!("no {part:?} in:\n{}", self.said) };
            self.said += &format!("{line}\n");
            if line.contains(part) {
                return;
            }
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        kill(signal, self.child.id());
    }

    /// Has it stop in good order: what it said since it was last waited for.
    #[track_caller]
    pub(crate) fn stop(self) -> String {
        self.signal("TERM");
        let (code, said) = self.end();
        assert_eq!(code, Some(0), "{said}");
        said
    }

    /// Waits for its end: the exit code, and what it said since it was last waited for.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let before = self.said.len();
        let code = self.last_words();
        (code, self.said.split_off(before))
    }

    /// Waits for its end: the exit code. All that it said is read then.
    pub(crate) fn last_words(&mut self) -> Option<i32> {
        loop {
            match self.lines.recv_timeout(self.patience) {
                Ok(line) => self.said += &format!("{line}\n"),
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.child.wait().expect("it has ended").code(),
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end; it said:\n{}", self.said),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both styles serve in the same way, so each test of a server is one of both.
#[expect(clippy::print_stdout, reason = "a test that fails shows its style")]
pub(crate) fn in_each_style(test: impl Fn(&str)) {
    for style in ["callbacks", "streams"] {
        println!("--style {style}");
        test(style);
    }
}

/// A command in a style.
pub(crate) fn styled<'a>(style: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    [words, &["--style", style]].concat()
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

pub(crate) fn command(folder: &TempDir, words: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_proxy-herd")));
    command.current_dir(folder.path()).args(words).stdin(Stdio::null());
    command.env_remove("HERD_TOPOLOGY").env_remove("GOOGLE_PLACES_API_KEY");
    command
}

/// A command that inherits a socket, or two, as from systemd.
pub(crate) fn activated(herd: &Herd, words: &[&str], sockets: impl IntoIterator<Item = OwnedFd>) -> Command {
    let plain = command(&herd.folder, words);
    let mut sockets = sockets.into_iter();
    let mut activated = Command::new("sh");
    activated.stdin(sockets.next().expect("one at least"));
    let script = match sockets.next() {
        None => "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 0</dev/null",
        Some(second) => {
            activated.stdout(second);
            "LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\" 3<&0 4<&1 0</dev/null 1>/dev/null"
        }
    };
    activated.args(["-c", script]).arg(plain.get_program()).args(plain.get_args()).current_dir(herd.folder.path());
    for (variable, _) in plain.get_envs() {
        activated.env_remove(variable);
    }
    activated
}

pub(crate) fn run(folder: &TempDir, words: &[&str]) -> Output {
    finish(command(folder, words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts"))
}

/// Waits for the end of a command that ends by itself.
#[track_caller]
pub(crate) fn finish(child: Child) -> Output {
    let id = child.id();
    let (sender, output) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = output.recv_timeout(PATIENCE) else {
        kill("KILL", id);
        panic!("it does not end");
    };
    output.expect("it has ended")
}

fn kill(signal: &str, id: u32) {
    let kill = format!("kill -{signal} {id}");
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success(), "{kill}");
}

/// Compares the exit code, standard output if one is expected, and standard error, which must begin with `error`.
#[track_caller]
pub(crate) fn check(output: &Output, code: i32, expected: Option<&str>, error: &str) {
    let (shown, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{shown}{said}");
    if let Some(expected) = expected {
        assert_eq!(shown, expected);
    }
    let whole = error.is_empty() || error.ends_with('\n');
    let is_right = if whole { said == error } else { said.contains(error) };
    assert!(is_right, "expected:\n{error}\nfound:\n{said}");
}

/// Says it all, ends, and reads until the server has ended, too.
#[track_caller]
pub(crate) fn converse(address: SocketAddr, lines: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.write_all(lines).expect("sent");
    stream.shutdown(Shutdown::Write).expect("ended");
    let mut replies = Vec::new();
    stream.read_to_end(&mut replies).expect("replies, and the end");
    text(&replies)
}

/// Tries until there is something.
#[track_caller]
pub(crate) fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let late = Instant::now() + PATIENCE;
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        assert!(Instant::now() < late, "it did not happen within {PATIENCE:?}");
        thread::yield_now();
    }
}

/// An address that nobody listens on. Not from the range that the system takes ports of clients from, so that none gets it.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 20_000) as u16;
    loop {
        let port = 11_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// In a topology: the built-in places.
pub(crate) const EMBEDDED: &str = r#""places": { "provider": "embedded" }"#;

/// How long something may take that takes milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
