//! How the simulated network treats what is sent: the delays, the splits and the room on the way.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The conditions between any two ends. The default is calm; see [`Weather::rough`].
///
/// The bytes are the same in every weather; in which pieces they come, and when, is not:
///
/// ```
/// # use std::{net::SocketAddr, time::Duration};
/// # use proxy_herd::{driver::sim::*, event_loop::*};
/// #
/// struct Lengths;
///
/// impl Protocol<Vec<usize>> for Lengths {
///     fn data_received(&mut self, _: &mut Transport<'_, Vec<usize>>, lengths: &mut Vec<usize>, data: &[u8]) {
///         lengths.push(data.len());
///     }
/// }
///
/// let tell = |weather| {
///     let mut sim = Sim::new(7, weather);
///     let address = SocketAddr::from(([127, 0, 0, 1], 7));
///     let host = sim.add_host("Goloman", Vec::new());
///     sim.enter(host, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, |_: &mut Vec<_>| Lengths));
///     let client = sim.connect(address);
///     sim.send(client, &[b'x'; 1_000]);
///     sim.run_for(Duration::from_secs(10));
///     sim.state(host).clone()
/// };
/// assert_eq!(tell(Weather::default()), [1_000]);
/// let rough = tell(Weather::rough());
/// assert!(rough.len() > 1 && rough.iter().sum::<usize>() == 1_000);
/// let slow = Weather { latency: Duration::from_secs(11)..=Duration::from_secs(11), ..Weather::default() };
/// assert!(tell(slow).is_empty());
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Weather {
    /// How long a piece is on its way. Pieces of one direction never overtake each other.
    pub latency: RangeInclusive<Duration>,
    /// Where the bytes of one write are split.
    pub pieces: Pieces,
    /// How many bytes of one direction may be on their way or waiting to be read; at least 1.
    pub window: usize,
}

/// How the bytes of one write travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pieces {
    /// In one piece, as far as the window has room.
    Whole,
    /// In pieces of random length, many of a single byte; and a write may be taken in part only.
    Random,
}

impl Weather {
    /// Delays of up to 20 ms that change with every piece, random splits, and a window of 16 KiB.
    pub fn rough() -> Self {
        Self {
            latency: Duration::from_micros(10)..=Duration::from_millis(20),
            pieces: Pieces::Random,
            window: 16 * 1024,
        }
    }
}

impl Default for Weather {
    /// Calm: everything arrives whole after 100 µs; the window has 64 KiB.
    fn default() -> Self {
        let latency = Duration::from_micros(100);
        Self { latency: latency..=latency, pieces: Pieces::Whole, window: 64 * 1024 }
    }
}
