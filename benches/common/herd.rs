//! Clients that tell a server of the herd where they are, and the thread that serves them.

use std::net::TcpListener;
use std::ops::Range;

use proxy_herd::driver::Sockets;
use proxy_herd::server::Style;

use super::clients::Talk;
use super::goloman::{clients, goloman};

/// Clients in an order that no cache foresees, each time a nanosecond later: every IAMAT is fresh.
pub(crate) const TALK: Talk = Talk { line: IAMAT, answer: AT.len(), renew };

pub(crate) fn serve(style: Style, listener: TcpListener) {
    let mut event_loop = goloman(style, listener.local_addr().expect("it is bound"));
    let mut sockets = Sockets::new().expect("descriptors");
    sockets.provide(listener);
    let mut had = false;
    while !had || clients(event_loop.state()) > 0 {
        had |= clients(event_loop.state()) > 0;
        sockets.turn(&mut event_loop, None).expect("a poll");
    }
}

fn renew(line: &mut [u8], number: u64) {
    write_digits(&mut line[CLIENT], number * STRIDE % KNOWN);
    write_digits(&mut line[NANOSECONDS], number);
}

/// Fills `text` with the last digits of a number.
pub(crate) fn write_digits(text: &mut [u8], mut number: u64) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

const IAMAT: &[u8] = b"IAMAT client-0000000 +34.068930-118.445127 1520023934.000000000\n";

/// Since 1520023934, some hundred million seconds have passed.
const AT: &[u8] = b"AT Goloman +275231098.454849487 client-0000000 +34.068930-118.445127 1520023934.000000000\n";

const CLIENT: Range<usize> = 13..20;
const NANOSECONDS: Range<usize> = 54..63;

/// How many clients the server knows.
const KNOWN: u64 = 1_000;

/// Shares no factor with the usual numbers of clients, so that each is named once a round, far from the one before.
pub(crate) const STRIDE: u64 = 7_919_111;
