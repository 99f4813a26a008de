//! A Places of many moods: what it does with a question, the question says, so that it does the same to both styles. Which
//! of two connections that are kept a question comes on does not count: none ends in the middle of another one's answer.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use proxy_herd::event_loop::{Loop, Protocol, ServerSecurity, Transport};
use proxy_herd::server::Servers;

/// Listens there.
pub(crate) fn listen(event_loop: &mut Loop<'_, Servers>, address: SocketAddr) {
    event_loop.listen(address, ServerSecurity::Plain, |_: &mut Servers| Places::default());
}

#[derive(Default)]
struct Places {
    request: Vec<u8>,
    asked: Rc<Cell<usize>>,
}

impl Protocol<Servers> for Places {
    fn data_received(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers, data: &[u8]) {
        self.request.extend_from_slice(data);
        if !self.request.ends_with(b"\r\n\r\n") {
            return;
        }
        self.asked.update(|asked| asked + 1);
        let request = String::from_utf8(std::mem::take(&mut self.request)).expect("it is text");
        let metres = request.split("radius=").nth(1).and_then(|rest| rest.split(['&', ' ']).next()).expect("a radius");
        let body = |results: usize| {
            let each = vec!["\n      {\n         \"name\" : \"a place\"\n      }"; results].join(",");
            format!("{{\n   \"results\" : [{each}\n   ],\n   \"status\" : \"OK\"\n}}\n")
        };
        let answer = |body: String| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let good = answer(body(7));
        let moment = Duration::from_millis(7);
        // What is said when, and whether that is the end.
        let (says, end): (Vec<(Duration, String)>, End) = match metres.strip_suffix("000").unwrap_or(metres) {
            "1" => (vec![(moment, good)], End::Close),
            "2" => (vec![(moment, good)], End::Reset),
            "3" => (vec![], End::Close),
            "4" => (vec![], End::Reset),
            "5" => (vec![(moment, good[..60].to_owned())], End::Close),
            "6" => (vec![(moment, good[..60].to_owned())], End::Reset),
            "7" => (vec![(moment, "no HTTP\r\n\r\n".to_owned())], End::Never),
            "8" => (vec![(moment, good.repeat(2))], End::Never),
            "10" => (vec![(moment, answer(body(2_000)))], End::Never),
            "11" => (vec![(Duration::from_secs(2), good)], End::Never),
            "13" => (vec![(moment, good)], End::After(Duration::from_millis(600))),
            // About as late as it may be: 49 km, and the last digits say how much earlier.
            _ if metres.len() == 5 && metres.starts_with("49") => {
                let early = metres[2..].parse().map(Duration::from_micros).expect("three digits");
                (vec![(Duration::from_secs(10) - early, good)], End::Never)
            }
            "41" => (vec![], End::Never),
            "14" => {
                let bytes = good.bytes().zip(0..).map(|(byte, place)| (place * moment, char::from(byte).into()));
                (bytes.collect(), End::Never)
            }
            _ => (vec![(moment, good)], End::Never),
        };
        let id = transport.id();
        let mut last = Duration::ZERO;
        for (after, text) in says {
            last = last.max(after);
            transport.event_loop().call_later(after, move |event_loop, _| {
                if let Some(mut transport) = event_loop.transport(id) {
                    transport.write(text.as_bytes());
                }
            });
        }
        let after = match end {
            End::Never => return,
            End::After(time) => last + time,
            End::Close | End::Reset => last,
        };
        let (asked, number) = (Rc::clone(&self.asked), self.asked.get());
        transport.event_loop().call_later(after, move |event_loop, _| {
            if let Some(mut transport) = event_loop.transport(id)
                && asked.get() == number
            {
                match end {
                    End::Reset => transport.reset(),
                    _ => transport.close(),
                }
            }
        });
    }
}

#[derive(Clone, Copy)]
enum End {
    Never,
    Close,
    Reset,
    After(Duration),
}
