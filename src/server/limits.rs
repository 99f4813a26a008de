//! Every limit of the server, in one place (those of the loop and of the parsers stand beside what they limit).
//!
//! A limit is here if a person who runs a server might ask "how many?" or "how long?".

use std::time::Duration;

use crate::herd::command::Command;
use crate::herd::link::LinkLine;

/// The longest line of a client, in bytes, its `\n` not counted: 4096, as for a command.
pub const CLIENT_LINE: usize = Command::LIMIT;

/// The longest line of a neighbour, in bytes, its `\n` not counted: 8192, which has room for a report, a client's line
/// and what an AT line adds to it.
pub const PEER_LINE: usize = LinkLine::LIMIT;

/// How much of a line that is refused is copied into the reply, in bytes.
pub const REFUSED_COPY: usize = 64;

/// How long a line may take from its first byte to its `\n`.
pub const LINE_TIME: Duration = Duration::from_secs(10);

/// How long a client may say nothing.
pub const IDLE_TIME: Duration = Duration::from_secs(300);

/// How long a client's answers may wait for it to read.
pub const STALL_TIME: Duration = Duration::from_secs(60);

/// How many WHATSATs of one connection may be unanswered; then it is not read from.
pub const OUTSTANDING: usize = 32;

/// How many bytes of replies may wait behind an unanswered WHATSAT; then the connection is not read from.
pub const HELD_REPLIES: usize = 64 * 1024;

/// How long a peer that was told off, or that we are done with, or leave, may go on sending before the connection is dropped.
pub const GOODBYE_TIME: Duration = Duration::from_secs(2);

/// How long a neighbour may take to end a link that another connection has replaced.
pub const RETIRED_TIME: Duration = Duration::from_secs(10);

/// How many bytes may wait for a neighbour, at the most. What does not fit is not queued: the neighbour does not keep up, and
/// what it missed is repaired once it has read. Well over what one turn of busy clients can flood, so that a burst is not taken
/// for a neighbour that does not read.
pub const PEER_WRITE_CAP: usize = 1024 * 1024;

/// How much of that reports leave free, for the few lines that are not dropped: PING, ERR.
pub const PEER_WRITE_RESERVE: usize = 16 * 1024;

/// Repair pauses while more bytes than this wait for a neighbour, so that it delays no flood for long.
pub const PEER_HIGH_WATER: usize = 256 * 1024;

/// Repair goes on, and a neighbour has caught up, when at most so many bytes wait.
pub const PEER_LOW_WATER: usize = 64 * 1024;

/// How long before a server's certificate ends the log begins to warn of it.
pub const KEYS_AHEAD: Duration = Duration::from_secs(14 * 24 * 3600);

/// How often that is looked at, beside the start and SIGHUP.
pub const KEYS_LOOK_EVERY: Duration = Duration::from_secs(24 * 3600);

/// How often a link is compared: what was lost on no link, or by a fault of ours, is found by then.
pub const REPAIR_EVERY: Duration = Duration::from_secs(30);

/// How many of those times a lesson that is under way is waited for, before it is begun anew.
pub const REPAIR_PATIENCE: u32 = 10;

/// How long a neighbour that broke the protocol is neither dialled nor heard. It doubles each time.
pub const VIOLATION_PAUSE_FIRST: Duration = Duration::from_secs(1);

/// The longest of these pauses.
pub const VIOLATION_PAUSE_LAST: Duration = Duration::from_secs(60);

/// After how long without a violation they begin anew.
pub const VIOLATION_MEMORY: Duration = Duration::from_secs(600);

/// How often some of the memory of clients that are forgotten is given back, if there is a `client_ttl`.
pub const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// The least time between two log lines about clients that are turned away.
pub const COMPLAIN_EVERY: Duration = Duration::from_secs(5);

/// How many connections to the address for peers may be open that have not said HERD. Where links are encrypted they count from
/// the end of the handshake, before which [`HANDSHAKES`] holds: so who has no certificate keeps nobody out who has one for
/// longer than a handshake may take, unless he knocks faster than they run out. Links that stand do not feel it, and both ends
/// dial: a link is kept from coming up only if both doors are besieged.
pub const STRANGERS: u32 = 64;

/// How many connections to the address for peers may be in a TLS handshake at a time; the next ones wait to be accepted.
pub const HANDSHAKES: usize = 64;

/// How long a TLS handshake of a link may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// How long the same reason from the same address is not said again, when strangers are refused at the address for peers.
pub const REFUSED_AGAIN: Duration = Duration::from_secs(600);

/// How many such reasons are remembered.
pub const REFUSALS: usize = 64;

/// The longest file of a key or of certificates, in bytes.
pub const KEY_FILE: u64 = 1024 * 1024;

/// How long a neighbour may take to say HERD.
pub const HELLO_TIME: Duration = Duration::from_secs(10);

/// How long a link may be silent before it is asked PING.
pub const PING_AFTER: Duration = Duration::from_secs(10);

/// How long a link may be silent before it is dropped.
pub const SILENCE_TIME: Duration = Duration::from_secs(30);

/// The first pause before a lost link is dialled again; it doubles each time. A random part, up to half, is taken off.
pub const REDIAL_FIRST: Duration = Duration::from_millis(50);

/// The longest pause before a lost link is dialled again.
pub const REDIAL_LAST: Duration = Duration::from_secs(1);

/// How many connections to Places there may be.
pub const LOOKUPS: usize = 8;

/// How many questions may wait for one of them; the next is answered UNKNOWN_ERROR at once.
pub const QUESTIONS_WAITING: usize = 1024;

/// How long an answer of Places may take in all, waiting included.
pub const LOOKUP_TIME: Duration = Duration::from_secs(10);

/// The first pause after Google has had too many questions (OVER_QUERY_LIMIT, or HTTP 429), in which nothing is asked; it doubles
/// each time, until an answer is good. A random part, up to half, is taken off, as several servers may share a key.
pub const TOLD_OFF_FIRST: Duration = Duration::from_secs(1);

/// The longest of these pauses, unless Google asks for a longer one.
pub const TOLD_OFF_LAST: Duration = Duration::from_secs(60);

/// The longest pause that Google, or who is in its place, can ask for (`Retry-After`): nobody silences us for ever.
pub const RETRY_AFTER_LAST: Duration = Duration::from_secs(3600);

/// The time for an answer that is left, at the least, to a question that was held back; one that would have less is not asked.
pub const LOOKUP_LEAST_TIME: Duration = Duration::from_secs(1);

/// How long it may take to find Places and connect, and how long the TLS handshake after that: less than an answer, so that
/// the log can say which it was.
pub const LOOKUP_CONNECT_TIME: Duration = Duration::from_secs(4);

/// How long a connection to Places is kept without a question.
pub const LOOKUP_IDLE_TIME: Duration = Duration::from_secs(60);

/// How long our last words to Places may take.
pub const LOOKUP_CLOSE_TIME: Duration = Duration::from_secs(1);

/// How long the stand-in keeps a connection without a whole request, or one that does not read.
pub const STANDIN_IDLE_TIME: Duration = Duration::from_secs(90);
