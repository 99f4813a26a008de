//! How HTTP messages say where they end, read from their bytes by somebody who is no decoder.

/// The lines of a message's head; of a response, those of the last one, which no interim head is.
pub(crate) fn head(message: &[u8]) -> Vec<&[u8]> {
    let mut lines = message.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    loop {
        let head: Vec<_> =
            lines.by_ref().skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect();
        let is_interim = |line: &&[u8]| line.starts_with(b"HTTP/1.") && line.get(8..10) == Some(b" 1");
        if !head.first().is_some_and(is_interim) {
            return head;
        }
    }
}

/// The values of a head's headers of this name.
pub(crate) fn values<'a>(head: &[&'a [u8]], name: &str) -> Vec<&'a [u8]> {
    let of_header = |line: &&'a [u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        line[..colon].eq_ignore_ascii_case(name.as_bytes()).then(|| line[colon + 1..].trim_ascii())
    };
    head.iter().filter_map(of_header).collect()
}

/// What a whole message says about its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    Length,
    Chunked,
    Unsaid,
}

impl Framing {
    /// # Panics
    /// If it says it by a length and a coding, by two codings, or by lengths that differ.
    pub(crate) fn of(message: &[u8]) -> Self {
        let head = head(message);
        let codings = values(&head, "Transfer-Encoding");
        let mut lengths = values(&head, "Content-Length");
        match &codings[..] {
            [] if lengths.is_empty() => Self::Unsaid,
            [] => {
                lengths = lengths.into_iter().flat_map(|list| list.split(|byte| *byte == b',')).collect();
                lengths.iter_mut().for_each(|length| *length = length.trim_ascii());
                let number = |length: &[u8]| str::from_utf8(length).expect("digits").parse::<usize>().expect("digits");
                assert!(lengths.iter().all(|length| number(length) == number(lengths[0])), "lengths that differ");
                Self::Length
            }
            [coding] => {
                assert!(coding.eq_ignore_ascii_case(b"chunked"), "another coding");
                assert!(lengths.is_empty(), "a length beside a coding");
                Self::Chunked
            }
            _ => panic!("{} codings", codings.len()),
        }
    }
}
