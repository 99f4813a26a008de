//! A connection to Places as an async function: a request is written, its answer read; then the next, or none.

use super::talk::{Party, Talk};
use crate::event_loop::{Loop, Lost};
use crate::server::Servers;
use crate::server::limits::{LOOKUP_CLOSE_TIME, LOOKUP_IDLE_TIME};
use crate::server::lookups::Heard;
use crate::streams::{Either, Elapsed, Handle, Opening, StreamReader, StreamWriter, race};

/// Asks Places what there is to ask, once it is connected to.
pub(in crate::server) async fn ask(handle: Handle<Servers>, opening: Opening) {
    let mut talk = Talk::new(handle, opening.id(), None, Places);
    match opening.await {
        Ok((mut reader, writer)) => {
            writer.set_close_timeout(LOOKUP_CLOSE_TIME);
            converse(&mut talk, &mut reader, &writer).await;
            talk.end(writer.wait_closed().await);
        }
        Err(why) => talk.end(Err(why)),
    }
}

async fn converse(talk: &mut Talk<Places>, reader: &mut StreamReader, writer: &StreamWriter) {
    let (handle, id) = (talk.handle().clone(), talk.id());
    // Whether nobody waits for an answer: while somebody does, the question has a deadline.
    let mut kept = true;
    loop {
        if let Some(request) = talk.lend(move |_, _, servers| servers.lookups.request(id)).await {
            // What came before the request is no answer to it.
            if !reader.buffered().is_empty() {
                talk.lend(move |_, _, servers| servers.lookups.log_unasked(id)).await;
                return writer.abort();
            }
            writer.write(&request);
            kept = false;
        }
        let news = race(reader.read(READ), writer.woken());
        let news = if kept { handle.timeout(LOOKUP_IDLE_TIME, news).await } else { Ok(news.await) };
        let data = match news {
            // Copied, as a call has to own what it is given.
            Ok(Either::Left(Ok(data))) => data.to_vec(),
            // There may be something to ask.
            Ok(Either::Right(())) if !writer.is_closing() => continue,
            // It is lost, which says why itself.
            Ok(Either::Left(Err(_)) | Either::Right(())) => return,
            Err(Elapsed) => return writer.close(),
        };
        if data.is_empty() {
            talk.lend(move |_, event_loop, servers| servers.lookups.hear_end(event_loop, id)).await;
            return writer.close();
        }
        match talk.lend(move |_, event_loop, servers| servers.lookups.hear(event_loop, id, &data)).await {
            Heard::Part => {}
            Heard::Kept => kept = true,
            Heard::Last => return writer.close(),
            Heard::Nonsense => return writer.abort(),
        }
    }
}

/// Who is asked.
struct Places;

impl Party for Places {
    fn farewell(self) -> impl FnOnce(&mut Loop<'_, Servers>, &mut Servers, Lost) + 'static {
        |event_loop, servers, lost| servers.lookups.lost(event_loop, lost)
    }
}

/// How many bytes of an answer are taken in at once.
const READ: usize = 64 * 1024;
