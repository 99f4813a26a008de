//! A client who asks what is near: what it is told of Places, to the byte.

use crate::world::World;

/// Says where it is and asks for at most `bound` places within a kilometre: the JSON, with all that follows.
pub(crate) fn ask(world: &mut impl World, position: &str, bound: usize) -> String {
    let client = world.connect("Goloman");
    world.send(client, format!("IAMAT a {position} 5\nWHATSAT a 1 {bound}\n").as_bytes());
    world.until("an answer", |world| world.heard(client).0.ends_with(b"\n\n"));
    let heard = String::from_utf8(world.heard(client).0.clone()).expect("this is text");
    let (lines, json) = heard.split_at(heard.find('{').expect("there is JSON"));
    assert_eq!(lines.lines().count(), 2, "the AT line comes before it, whatever happened");
    json.to_owned()
}

/// What is told in place of places.
pub(crate) fn failure(status: &str, message: &str) -> String {
    format!(
        "{{\n   \"error_message\" : \"{message}\",\n   \"html_attributions\" : [],\n   \"results\" : [],\n   \"status\" : \
         \"{status}\"\n}}\n\n"
    )
}
