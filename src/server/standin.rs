//! The built-in Places on this loop: an HTTPS server on loopback that answers from the shipped data.
//!
//! It is there so that the whole path runs without a network, a key or a bill. What it says is `places::standin`'s
//! business; here is the socket's side: requests in, responses out, in order, within limits.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use super::Servers;
use super::limits::STANDIN_IDLE_TIME;
use super::trust::Identity;
use crate::event_loop::{Address, Loop, Protocol, ProtocolFactory, Transport};
use crate::places::gazetteer::Gazetteer;
use crate::places::standin;
use crate::wire::http::{Limits, Status};
use crate::wire::http_request::RequestDecoder;
use crate::wire::http_response::Response;

/// Starts the stand-in on a port that the system chooses.
pub(super) fn listen(event_loop: &mut Loop<'_, Servers>, identity: &Identity) {
    // Read now, which takes some milliseconds, and not while somebody waits.
    Gazetteer::shipped();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    event_loop.listen(address, identity.server(), Entrance(identity.clone()));
}

struct Entrance(Identity);

impl ProtocolFactory<Servers> for Entrance {
    fn protocol(&mut self, _: &mut Servers) -> Box<dyn Protocol<Servers>> {
        Box::new(Standin { decoder: RequestDecoder::new(LIMITS) })
    }

    fn listening(&mut self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, address: &Address) {
        let address = address.ip().expect("it was asked to listen on one");
        log::info!("the built-in places listen on {address}");
        servers.lookups.found(event_loop, self.0.upstream(address));
    }

    fn failed(&mut self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, error: io::Error) {
        let why = format!("the built-in places cannot listen on {error}");
        log::error!("{why}");
        servers.fail(event_loop, why);
    }
}

/// One connection to it.
struct Standin {
    decoder: RequestDecoder,
}

impl Protocol<Servers> for Standin {
    fn connection_made(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers) {
        transport.set_timeout(Some(STANDIN_IDLE_TIME));
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers, mut data: &[u8]) {
        while !data.is_empty() && !transport.is_closing() {
            let response = match self.decoder.decode(data) {
                Ok(Status::Partial) => break,
                Ok(Status::Complete { message, consumed }) => {
                    data = &data[consumed..];
                    standin::respond(Gazetteer::shipped(), &message)
                }
                Err(error) => {
                    Response { status: error.status(), body: Vec::new(), keep_alive: false, retry_after: None }
                }
            };
            let mut bytes = Vec::new();
            response.write_to(standin::CONTENT_TYPE, &mut bytes);
            transport.write(&bytes);
            if !response.keep_alive {
                transport.close();
            }
        }
        transport.set_timeout(Some(STANDIN_IDLE_TIME));
    }

    fn pause_writing(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers) {
        transport.pause_reading();
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers) {
        transport.resume_reading();
    }
}

/// Requests are one line and a few headers; a body would be somebody's mistake.
const LIMITS: Limits = Limits { head: 16 * 1024, body: 16 * 1024 };
