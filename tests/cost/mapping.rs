//! What an answer of Places API (New) costs to be told in the legacy shape: some times the longest body, whatever it is filled with.

use allocation_counter::measure;
use proxy_herd::places::mapping::legacy;
use proxy_herd::wire::http::Limits;

#[test]
fn no_answer_costs_many_times_the_longest_body() {
    let limit = Limits::default().body;
    for (start, filling, end) in [
        (r#"{"places":[{}"#, ",{}", "]}"),
        (r#"{"places":[{"photos":[{}"#, ",{}", "]}]}"),
        (r#"{"places":[{"photos":[{"authorAttributions":[{}"#, r#",{"displayName":""}"#, "]}]}]}"),
        (r#"{"places":[{"types":["""#, r#","""#, "]}]}"),
        (r#"{"places":[{"attributions":[{}"#, r#",{"provider":"'"}"#, "]}]}"),
        (r#"{"places":[{"id":""#, "<", "\"}]}"),
        (r#"{"places":[{"photos":[{"authorAttributions":[{"displayName":""#, "'", "\"}]}]}]}"),
        (r#"{"places":[{"attributions":[{"provider":""#, "<", "\"}]}]}"),
        (r#"{"error":{"details":[{}"#, ",{}", "]}}"),
    ] {
        let count = (limit - start.len() - end.len()) / filling.len();
        let body = [start, &filling.repeat(count), end].concat();
        let held = measure(|| drop(legacy(body.as_bytes()))).bytes_max;
        println!("{start}{filling}...: {held} bytes, {} times the longest body", held / limit as u64);
        assert!(held <= MOST * limit as u64, "{start}{filling}...: {held} bytes");
    }
}

/// How many times its longest body an answer may cost, for a moment.
const MOST: u64 = 16;
