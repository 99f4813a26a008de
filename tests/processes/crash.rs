//! A server that is killed under load: the herd goes on, and it learns what it missed when it is back.

use crate::command::in_each_style;
use crate::load::{Load, Refusals, until_in_step};
use crate::{GOLOMAN, LINKS, goloman, neighbours, wait_until_in_step};

#[test]
fn a_server_that_was_killed_learns_what_the_others_know() {
    in_each_style(|style| {
        let herd = goloman();
        let mut servers = GOLOMAN.map(|name| (name, herd.start(style, &[name, "-q"])));
        for (name, server) in &mut servers {
            wait_until_in_step(server, neighbours(&LINKS, name));
        }
        let others = Load::new(&herd, &["Goloman", "Hands", "Welsh", "Wilkes"], Refusals::Wrong);
        let its_own = Load::new(&herd, &["Holiday"], Refusals::Endured);
        others.go_on(200);
        its_own.go_on(200);

        // Without Holiday, Welsh is cut off.
        let (name, holiday) = &mut servers[2];
        holiday.signal("KILL");
        assert_eq!(holiday.last_words(), None, "{}", holiday.said);
        others.go_on(200);
        *holiday = herd.start(style, &[name, "-q"]);
        wait_until_in_step(holiday, neighbours(&LINKS, name));
        others.go_on(200);
        its_own.go_on(200);

        // What it had acknowledged when it was killed may have died with it; the last is with the one that lives.
        let last = its_own.stop().pop().expect("it was talked with");
        assert_ne!(last.prefix, "Holiday.0", "the first died");
        let talks: Vec<_> = others.stop().into_iter().chain([last]).collect();
        for talk in &talks {
            assert!(talk.error.is_none(), "{}: {:?}", talk.prefix, talk.error);
        }
        until_in_step(&herd, &GOLOMAN, &talks);
    });
}
