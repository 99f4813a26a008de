//! Hosts on one machine: a network namespace each, in two rooms with a switch, and a cable between the switches.
//!
//! Everything is inside namespaces that are named by this process, the switches too, so that nothing of the machine's own
//! network is touched, and all of it goes when they go: with the guard, also if the test panics.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

/// The hosts, while this lives.
pub(crate) struct Hosts {
    names: Vec<&'static str>,
}

impl Hosts {
    /// A host for each name, in two rooms; or why this machine cannot have them.
    pub(crate) fn new(rooms: [&[&'static str]; 2]) -> Result<Self, String> {
        let mut hosts = Self { names: Vec::new() };
        hosts.add(SWITCHES)?;
        let switches = namespace(SWITCHES);
        for room in ROOMS {
            ip(&format!("-n {switches} link add {room} type bridge"))?;
            ip(&format!("-n {switches} link set {room} up"))?;
        }
        ip(&format!("-n {switches} link add {} type veth peer name {}", CABLE[0], CABLE[1]))?;
        for (end, room) in CABLE.into_iter().zip(ROOMS) {
            ip(&format!("-n {switches} link set {end} master {room} up"))?;
        }
        for (room, names) in ROOMS.into_iter().zip(rooms) {
            for name in names {
                hosts.add(name)?;
                let (host, address) = (namespace(name), hosts.address(name));
                let port = format!("port{}", hosts.names.len());
                ip(&format!("-n {switches} link add {port} type veth peer name eth0 netns {host}"))?;
                ip(&format!("-n {switches} link set {port} master {room} up"))?;
                ip(&format!("-n {host} address add {address}/24 dev eth0"))?;
                ip(&format!("-n {host} link set eth0 up"))?;
                ip(&format!("-n {host} link set lo up"))?;
            }
        }
        Ok(hosts)
    }

    /// Where a host is in their network.
    pub(crate) fn address(&self, name: &str) -> Ipv4Addr {
        let place = self.names.iter().position(|other| *other == name).expect("one of the hosts");
        Ipv4Addr::new(10, 77, 0, u8::try_from(place).expect("a few"))
    }

    /// The command, to be run on a host; with the folder, and nothing else of what was set for it.
    pub(crate) fn on(&self, name: &str, command: &Command) -> Command {
        let mut there = Command::new("ip");
        there.args(["netns", "exec", &namespace(name)]).arg(command.get_program()).args(command.get_args());
        there
            .current_dir(command.get_current_dir().unwrap_or(Path::new(".")))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        for (variable, _) in command.get_envs() {
            there.env_remove(variable);
        }
        there
    }

    /// Pulls the cable between the rooms.
    pub(crate) fn cut(&self) {
        self.set_cable("down");
    }

    /// Plugs it in again.
    pub(crate) fn heal(&self) {
        self.set_cable("up");
    }

    fn set_cable(&self, state: &str) {
        ip(&format!("-n {} link set {} {state}", namespace(SWITCHES), CABLE[0])).expect("the cable is there");
    }

    fn add(&mut self, name: &'static str) -> Result<(), String> {
        ip(&format!("netns add {}", namespace(name)))?;
        self.names.push(name);
        Ok(())
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            // There is nobody left to tell.
            let _ = ip(&format!("netns del {}", namespace(name)));
        }
    }
}

/// Different for each process, so that tests of several can run at a time.
fn namespace(host: &str) -> String {
    format!("proxy-herd-{}-{host}", std::process::id())
}

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split(' ')).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {words}: {}", said.trim_end())) }
}

const SWITCHES: &str = "switches";

const ROOMS: [&str; 2] = ["room0", "room1"];

/// Its two ends.
const CABLE: [&str; 2] = ["cable0", "cable1"];
