//! Plaintext on one side, the bytes of the wire on the other: TCP is the identity, TLS is rustls.
//!
//! The only file that names rustls' connection types. Rules, each learnt from somebody's bug:
//! - rustls never sees the socket. Bytes go in by slices, records come out into the connection's write buffer, so one
//!   number says how much waits to be sent, and one pair of marks governs it.
//! - After *every* step what rustls wants to write is taken: alerts, tickets and key updates come from reading too.
//! - Plaintext is drained before more is fed: rustls refuses to hold more than 16 KiB of it.
//! - What arrives while the protocol has paused reading stays ciphertext, here in `unread`; it is at most one read. Only
//!   what came together with the end of the handshake is in rustls' hands by then, and waits there.
//! - An error is final. Its alert is queued first; nothing is read after it.
//! - An end without close_notify is an error, not an end.
//!
//! What it does not do: phases, marks and timeouts (see `connection`), certificates and trust (the application's
//! `ClientConfig` and `ServerConfig`).

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection};

use super::buffer::WriteBuffer;

/// How a connection that we make is protected.
///
/// What is trusted is the configuration's business; with the public authorities:
///
/// ```
/// use std::sync::Arc;
///
/// use proxy_herd::event_loop::Security;
/// use rustls::crypto::ring;
/// use rustls::{ClientConfig, RootCertStore};
///
/// let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
/// let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
///     .with_safe_default_protocol_versions()?
///     .with_root_certificates(roots)
///     .with_no_client_auth();
/// let security = Security::Tls(Arc::new(config), "maps.googleapis.com".try_into()?);
/// # let Security::Tls(_, name) = security else { panic!("it is TLS") };
/// # assert_eq!(name.to_str(), "maps.googleapis.com");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub enum Security {
    /// Plain TCP.
    Plain,
    /// TLS; the server's certificate must be good for this name.
    Tls(Arc<ClientConfig>, ServerName<'static>),
}

/// How the connections that we accept are protected.
#[derive(Clone, Debug)]
pub enum ServerSecurity {
    /// Plain TCP.
    Plain,
    /// TLS with this certificate and these demands on the client's.
    Tls(Arc<ServerConfig>),
}

/// Which side of the TLS handshake of [`Transport::start_tls`](super::Transport::start_tls) we are.
///
/// As with mail servers: the client says `STARTTLS`, the server `go`, and then the client begins the handshake.
///
/// ```
/// # use std::{net::SocketAddr, sync::Arc, time::Duration};
/// # use proxy_herd::{driver::sim::{Sim, Weather}, event_loop::*};
/// # use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer};
/// #
/// struct Upgrade {
///     start: StartTls,
///     /// What came in the clear.
///     clear: Vec<u8>,
/// }
///
/// impl Protocol<Vec<u8>> for Upgrade {
///     fn connection_made(&mut self, transport: &mut Transport<'_, Vec<u8>>, _: &mut Vec<u8>) {
///         if let StartTls::Client(..) = self.start {
///             transport.write(b"STARTTLS\n");
///         }
///     }
///
///     fn data_received(&mut self, transport: &mut Transport<'_, Vec<u8>>, secrets: &mut Vec<u8>, data: &[u8]) {
///         if transport.tls_info().is_some() {
///             return secrets.extend_from_slice(data);
///         }
///         self.clear.extend_from_slice(data);
///         let Some(end) = self.clear.iter().position(|byte| *byte == b'\n') else { return };
///         if let StartTls::Server(_) = self.start {
///             transport.write(b"go\n");
///         }
///         transport.start_tls(self.start.clone(), &self.clear[end + 1..]);
///     }
///
///     fn tls_started(&mut self, transport: &mut Transport<'_, Vec<u8>>, _: &mut Vec<u8>) {
///         if let StartTls::Client(..) = self.start {
///             transport.write(b"my password");
///         }
///     }
/// }
///
/// # let made = rcgen::generate_simple_self_signed(["goloman.example".to_owned()])?;
/// # let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
/// # let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
/// #     .with_safe_default_protocol_versions()?
/// #     .with_no_client_auth()
/// #     .with_single_cert(vec![made.cert.der().clone()], key.into())?;
/// # let mut roots = RootCertStore::empty();
/// # roots.add(made.cert.der().clone())?;
/// # let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
/// #     .with_safe_default_protocol_versions()?
/// #     .with_root_certificates(roots)
/// #     .with_no_client_auth();
/// # let mut sim = Sim::new(7, Weather::rough());
/// # let address = SocketAddr::from(([127, 0, 0, 1], 25));
/// # let [goloman, hands] = ["Goloman", "Hands"].map(|name| sim.add_host(name, Vec::new()));
/// let server = StartTls::Server(Arc::new(server));
/// sim.enter(goloman, |event_loop, _| {
///     let factory = move |_: &mut Vec<u8>| Upgrade { start: server.clone(), clear: Vec::new() };
///     event_loop.listen(address, ServerSecurity::Plain, factory);
/// });
/// let client = StartTls::Client(Arc::new(client), "goloman.example".try_into()?);
/// sim.enter(hands, |event_loop, _| {
///     event_loop.connect(address, Security::Plain, Upgrade { start: client, clear: Vec::new() });
/// });
/// sim.run_for(Duration::from_secs(2));
/// assert_eq!(sim.state(goloman), b"my password");
/// assert!(!sim.trace().as_str().contains("password"), "it was sent as it is");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub enum StartTls {
    /// The client, which speaks first; the server's certificate must be good for this name.
    Client(Arc<ClientConfig>, ServerName<'static>),
    /// The server, with this certificate and these demands on the client's.
    Server(Arc<ServerConfig>),
}

/// What was agreed on in a TLS handshake; `None` where nothing was, or not yet.
#[derive(Clone, Copy, Debug)]
pub struct TlsInfo<'a> {
    /// The version, as `TLSv1_3`.
    pub version: Option<rustls::ProtocolVersion>,
    /// The cipher suite.
    pub cipher_suite: Option<rustls::CipherSuite>,
    /// The application protocol (ALPN).
    pub alpn: Option<&'a [u8]>,
    /// The name that the client asked for (SNI); on servers only.
    pub server_name: Option<&'a str>,
    /// The peer's certificate and what came with it, the peer's own first.
    pub peer_certificates: Option<&'a [CertificateDer<'static>]>,
    /// Whether an earlier session was resumed, without certificates being sent again. asyncio: `ssl_object.session_reused`.
    pub is_resumed: bool,
}

/// What stands between a protocol and its socket.
pub(super) enum Channel {
    Plain,
    Tls(Box<Tls>),
}

/// What became of the bytes that were fed.
pub(super) enum Step {
    /// The handshake is done; call again.
    Established,
    /// Plaintext was put into the scratch buffer; call again.
    Data,
    /// The peer's close_notify came after everything else.
    Ended,
    /// All is used up.
    Hungry,
}

impl Channel {
    pub(super) fn connecting(security: Security) -> io::Result<Self> {
        match security {
            Security::Plain => Ok(Self::Plain),
            Security::Tls(config, name) => Self::upgraded(StartTls::Client(config, name)),
        }
    }

    pub(super) fn accepted(security: &ServerSecurity) -> io::Result<Self> {
        match security {
            ServerSecurity::Plain => Ok(Self::Plain),
            ServerSecurity::Tls(config) => Self::upgraded(StartTls::Server(Arc::clone(config))),
        }
    }

    pub(super) fn upgraded(start: StartTls) -> io::Result<Self> {
        let connection = match start {
            StartTls::Client(config, name) => ClientConnection::new(config, name).map(Into::into),
            StartTls::Server(config) => ServerConnection::new(config).map(Into::into),
        };
        connection.map(Self::tls).map_err(invalid)
    }

    fn tls(mut connection: rustls::Connection) -> Self {
        // The write buffer is bounded by the marks, not twice.
        connection.set_buffer_limit(None);
        let handshake = Handshake::UnderWay { early: 0, end: false };
        Self::Tls(Box::new(Tls {
            connection,
            unread: Vec::new(),
            handshake,
            incoming: Incoming::Open,
            has_ended: false,
        }))
    }

    /// Starts the handshake, if there is one: a client's hello goes into `outgoing`.
    pub(super) fn begin(&mut self, outgoing: &mut WriteBuffer) -> io::Result<()> {
        match self {
            Self::Plain => Ok(()),
            Self::Tls(tls) => tls.take_records(outgoing),
        }
    }

    /// Puts plaintext on its way. Before the handshake is done it waits inside.
    pub(super) fn write(&mut self, data: &[u8], outgoing: &mut WriteBuffer) -> io::Result<()> {
        match self {
            Self::Plain => outgoing.extend(data),
            Self::Tls(tls) => {
                if let Handshake::UnderWay { early, .. } = &mut tls.handshake {
                    *early += data.len();
                }
                // A record at a time, so that rustls' own queue stays small.
                for piece in data.chunks(RECORD) {
                    tls.connection.writer().write_all(piece)?;
                    tls.take_records(outgoing)?;
                }
            }
        }
        Ok(())
    }

    /// Bytes written that are not in the write buffer yet, because the handshake is not done.
    pub(super) fn held_back(&self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Tls(tls) => match tls.handshake {
                Handshake::UnderWay { early, .. } => early,
                Handshake::Done => 0,
            },
        }
    }

    /// Ends our half: says that we send nothing more. Before the handshake is done that waits, as what was written does.
    pub(super) fn finish(&mut self, outgoing: &mut WriteBuffer) -> io::Result<()> {
        let Self::Tls(tls) = self else { return Ok(()) };
        match &mut tls.handshake {
            Handshake::UnderWay { end, .. } => {
                *end = true;
                tls.take_records(outgoing)
            }
            Handshake::Done => tls.end(outgoing),
        }
    }

    pub(super) fn info(&self) -> Option<TlsInfo<'_>> {
        let Self::Tls(tls) = self else { return None };
        Some(TlsInfo {
            version: tls.connection.protocol_version(),
            cipher_suite: tls.connection.negotiated_cipher_suite().map(|suite| suite.suite()),
            alpn: tls.connection.alpn_protocol(),
            server_name: match &tls.connection {
                rustls::Connection::Server(server) => server.server_name(),
                rustls::Connection::Client(_) => None,
            },
            peer_certificates: tls.connection.peer_certificates(),
            is_resumed: tls.connection.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }
}

/// A TLS connection without its socket.
pub(super) struct Tls {
    connection: rustls::Connection,
    unread: Vec<u8>,
    handshake: Handshake,
    incoming: Incoming,
    /// Our close_notify was said.
    has_ended: bool,
}

/// How far the handshake is, and what waits for its end.
#[derive(Clone, Copy)]
enum Handshake {
    /// `early` bytes of plaintext wait inside, and behind them perhaps our end.
    UnderWay {
        early: usize,
        end: bool,
    },
    Done,
}

/// What has come of the peer's end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Incoming {
    Open,
    /// Its close_notify has come, and was not told yet: there was data before it.
    EndUntold,
    Ended,
}

impl Tls {
    /// Takes from the front of `wire` what can be used and says what came of it. Plaintext is appended to `plaintext`,
    /// also before an error.
    pub(super) fn receive(
        &mut self,
        wire: &mut &[u8],
        plaintext: &mut Vec<u8>,
        outgoing: &mut WriteBuffer,
    ) -> io::Result<Step> {
        loop {
            let state = match self.connection.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    // The records before the bad one were good. It ends with `WouldBlock`: there is no end to find.
                    let _ = self.connection.reader().read_to_end(plaintext);
                    // The peer is told why before it is left; that this may fail too changes nothing.
                    let _ = self.take_records(outgoing);
                    return Err(invalid(error));
                }
            };
            self.take_records(outgoing)?;
            self.answer_key_update(outgoing)?;
            if let Handshake::UnderWay { end, .. } = self.handshake
                && !self.connection.is_handshaking()
            {
                self.handshake = Handshake::Done;
                if end {
                    self.end(outgoing)?;
                }
                return Ok(Step::Established);
            }
            if state.peer_has_closed() && self.incoming == Incoming::Open {
                self.incoming = Incoming::EndUntold;
            }
            let count = state.plaintext_bytes_to_read();
            if count > 0 {
                let start = plaintext.len();
                plaintext.resize(start + count, 0);
                self.connection.reader().read_exact(&mut plaintext[start..])?;
            }
            if plaintext.len() >= ENOUGH {
                return Ok(Step::Data);
            }
            if wire.is_empty() || state.peer_has_closed() {
                return Ok(if !plaintext.is_empty() {
                    Step::Data
                } else if self.incoming == Incoming::EndUntold {
                    self.incoming = Incoming::Ended;
                    Step::Ended
                } else {
                    Step::Hungry
                });
            }
            self.connection.read_tls(wire)?;
        }
    }

    /// The socket has ended. Without a close_notify before, that is an error.
    pub(super) fn receive_eof(&mut self) -> io::Result<()> {
        if self.incoming != Incoming::Open {
            return Ok(());
        }
        let what = match self.handshake {
            Handshake::UnderWay { .. } => "the peer closed the connection during the TLS handshake",
            Handshake::Done => "the peer closed the connection without TLS close_notify: what it sent may be cut short",
        };
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, what))
    }

    /// Keeps what arrived for when the protocol reads again, or for when it can be decrypted.
    pub(super) fn stash(&mut self, wire: &[u8]) {
        self.unread.extend_from_slice(wire);
    }

    /// Whether something was kept: bytes, or what rustls has taken already (it wants no more then), data or the peer's end.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty() || (self.incoming != Incoming::Ended && !self.connection.wants_read())
    }

    /// What was kept.
    pub(super) fn unstash(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unread)
    }

    /// Sends the new keys that the peer has asked for. By itself rustls sends them before the next data, and a protocol
    /// that only listens has none. A peer that takes nothing gets no more of them than that.
    fn answer_key_update(&mut self, outgoing: &mut WriteBuffer) -> io::Result<()> {
        if matches!(self.handshake, Handshake::Done) && outgoing.is_empty() {
            // Nothing, which is no record; what has to leave before it does.
            self.connection.writer().write(&[]).map(drop)?;
            self.take_records(outgoing)?;
        }
        Ok(())
    }

    fn end(&mut self, outgoing: &mut WriteBuffer) -> io::Result<()> {
        self.connection.send_close_notify();
        self.take_records(outgoing)?;
        self.has_ended = true;
        Ok(())
    }

    /// Once our half has ended, answers and alerts go nowhere: they would come behind a FIN, and the connection would break.
    fn take_records(&mut self, outgoing: &mut WriteBuffer) -> io::Result<()> {
        while self.connection.wants_write() {
            if self.has_ended {
                self.connection.write_tls(&mut io::sink())?;
            } else {
                self.connection.write_tls(outgoing)?;
            }
        }
        Ok(())
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The most plaintext in one TLS record (RFC 8446, 5.1).
const RECORD: usize = 16 * 1024;

/// Plaintext handed to a protocol at once, in bytes, give or take a record.
const ENOUGH: usize = 64 * 1024;
