//! Every row of the client protocol as a conversation, in every world and however the bytes are split.

use proxy_herd::driver::sim::Weather;
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::Provider;

use crate::loopback::Loopback;
use crate::simulated::Simulated;
use crate::{script, topologies, world};

/// Plays a script over real sockets and over the simulated network, whole and byte by byte.
fn check(script: &str) {
    let provider = Provider::embedded().expect("a certificate");
    for piece in [usize::MAX, 1] {
        let mut world = Loopback::new(Topology::built_in(), |_| provider.clone());
        world::links_are_up(&mut world);
        script::check(&mut world, script, |left| left.min(piece));
        for weather in [Weather::default(), Weather::rough()] {
            let mut world = Simulated::new(Topology::built_in(), &provider, 7, weather);
            world::links_are_up(&mut world);
            script::check(&mut world, script, |left| left.min(piece));
        }
    }
}

const KIWI: &str = "kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997";

#[test]
fn an_iamat_is_answered_with_its_report() {
    check(&format!("@ Goloman\n > IAMAT {KIWI}\n < AT Goloman ~ {KIWI}"));
}

#[test]
fn white_space_is_six_characters_and_does_not_matter() {
    check(&format!(
        "@ Goloman
         > \\x09 IAMAT \\x0b\\x0ckiwi.cs.ucla.edu\\x09+34.068930-118.445127   1520023934.918963997 \\x0d
         < AT Goloman ~ {KIWI}
         > IAMAT kiwi\\xa0one +1+1 5
         < AT Goloman ~ kiwi\\xa0one +1+1 5
         > IAMAT kiwi\\xc2\\xa0\\xff\\xf0\\x9f\\xa5\\x9d? +1+1 5
         < AT Goloman ~ kiwi\\xc2\\xa0\\xff\\xf0\\x9f\\xa5\\x9d? +1+1 5"
    ));
}

#[test]
fn positions_are_iso_6709_decimal_degrees() {
    for good in ["+0+0", "+90.000-180", "-90-180.0", "+007.-007.", "+34.068930-118.445127/"] {
        check(&format!("@ Hands\n > IAMAT k {good} 5\n < AT Hands ~ k {good} 5"));
    }
    for bad in ["0+0", "+90.0001+0", "+0+180.1", "+0", "+0+0+0", "+.5+0", "+1e1+0", "+0+0//", "+0 +0", "+nan+inf"] {
        check(&format!("@ Hands\n > IAMAT k {bad} 5\n < ? IAMAT k {bad} 5"));
    }
}

#[test]
fn timestamps_are_decimal_seconds_and_come_back_as_they_were() {
    for good in ["0", "-1", "1520023934", "1520023934.", "1.000000000", "-0.5", "0009", "4102444800.999999999"] {
        check(&format!("@ Hands\n > IAMAT k +1+1 {good}\n < AT Hands ~ k +1+1 {good}"));
    }
    for bad in ["+1", "1.0000000000", "1e9", "nan", "inf", ".5", "--1", "0x10", "1,5", "1 2"] {
        check(&format!("@ Hands\n > IAMAT k +1+1 {bad}\n < ? IAMAT k +1+1 {bad}"));
    }
}

#[test]
fn a_report_that_is_not_newer_is_answered_and_forgotten() {
    check(
        "@ Goloman
         > IAMAT k +1+1 1520023934.000000001
         < AT Goloman ~ k +1+1 1520023934.000000001
         > IAMAT k +2+2 1520023934.000000001
         < AT Goloman ~ k +2+2 1520023934.000000001
         > IAMAT k +3+3 1520023934
         < AT Goloman ~ k +3+3 1520023934
         > WHATSAT k 50 0
         < AT Goloman ~ k +1+1 1520023934.000000001
         { ZERO_RESULTS
         > IAMAT k +60.17+24.94 1520023934.000000002
         < AT Goloman ~ k +60.17+24.94 1520023934.000000002
         > WHATSAT k 1 1
         < AT Goloman ~ k +60.17+24.94 1520023934.000000002
         { 1",
    );
}

#[test]
fn a_whatsat_is_answered_three_edges_away() {
    check(&format!(
        "@ Hands
         > IAMAT {KIWI}
         < AT Hands ~ {KIWI}
         ~ Welsh kiwi.cs.ucla.edu
         @ Welsh
         > WHATSAT kiwi.cs.ucla.edu 10 5
         < AT Hands ~ {KIWI}
         {{ 5
         > WHATSAT kiwi.cs.ucla.edu 50.000 20
         < AT Hands ~ {KIWI}
         {{ 20
         > WHATSAT kiwi.cs.ucla.edu 0 7
         < AT Hands ~ {KIWI}
         {{ INVALID_REQUEST
         > WHATSAT kiwi.cs.ucla.edu 10 0
         < AT Hands ~ {KIWI}
         {{ 0"
    ));
}

#[test]
fn a_whatsat_needs_a_known_client_a_radius_and_a_bound() {
    check(&format!("@ Hands\n > IAMAT {KIWI}\n < AT Hands ~ {KIWI}\n > WHATSAT kiwi 10 5\n < ? WHATSAT kiwi 10 5"));
    for bad in ["50.1 5", "51 5", "-1 5", "+1 5", "1e1 5", "10 21", "10 -1", "10 1.0", "10 +1", "10", "10 5 5", "x 5"] {
        check(&format!(
            "@ Hands\n > IAMAT {KIWI}\n < AT Hands ~ {KIWI}\n > WHATSAT kiwi.cs.ucla.edu {bad}\n < ? WHATSAT kiwi.cs.ucla.edu {bad}"
        ));
    }
}

#[test]
fn nothing_is_answered_to_nothing() {
    check("@ Wilkes\n > \n > \\x20\\x09\\x0b\\x0c\\x0d\n > x\n < ? x");
}

#[test]
fn what_is_no_command_is_copied_without_its_ends() {
    check(
        "@ Wilkes
         > \\x20 hello   world \\x09\\x0d
         < ? hello   world
         > iamat k +1+1 5
         < ? iamat k +1+1 5
         > IAMAT k +1+1
         < ? IAMAT k +1+1
         > IAMAT k +1+1 5 5
         < ? IAMAT k +1+1 5 5
         > AT Goloman +0.263873386 k +1+1 5
         < ? AT Goloman +0.263873386 k +1+1 5
         > HERD 1 goloman Hands 0.1.0
         < ? HERD 1 goloman Hands 0.1.0
         > DIGEST 0
         < ? DIGEST 0
         > PING
         < ? PING
         > \\x00\\x1b[2J\\xff
         < ? \\x00\\x1b[2J\\xff
         > WHATSAT k 1 1
         < ? WHATSAT k 1 1",
    );
}

#[test]
fn a_client_id_has_at_most_255_bytes() {
    let (fits, longer) = ("k".repeat(255), "k".repeat(256));
    check(&format!(
        "@ Wilkes
         > IAMAT {fits} +1+1 5
         < AT Wilkes ~ {fits} +1+1 5
         > IAMAT {longer} +1+1 5
         < ? IAMAT {longer} +1+1 5"
    ));
}

#[test]
fn pipelined_commands_are_answered_in_their_order() {
    check(&format!(
        "@ Goloman
         >> IAMAT {KIWI}\\nWHATSAT kiwi.cs.ucla.edu 10 2\\nIAMAT b +1+1 5\\nWHATSAT b 1 1\\n\\nx\\nWHATSAT kiwi.cs.ucla.edu 5 1\\nlast\\n
         < AT Goloman ~ {KIWI}
         < AT Goloman ~ {KIWI}
         {{ 2
         < AT Goloman ~ b +1+1 5
         < AT Goloman ~ b +1+1 5
         {{ ZERO_RESULTS
         < ? x
         < AT Goloman ~ {KIWI}
         {{ 1
         < ? last"
    ));
}

#[test]
fn after_a_half_close_everything_owed_is_said_then_the_server_ends() {
    check("@ Goloman\n #\n .");
    check("@ Goloman\n >> IAMAT k +1+1 5\n #\n < AT Goloman ~ k +1+1 5\n .");
    check("@ Goloman\n > IAMAT k +1+1 5\n >> half a\n #\n < AT Goloman ~ k +1+1 5\n < ? half a\n .");
    check("@ Goloman\n >> \\x20 \n #\n .");
    check(&format!(
        "@ Goloman
         > IAMAT {KIWI}
         > WHATSAT kiwi.cs.ucla.edu 10 3
         >> WHATSAT kiwi.cs.ucla.edu 10 1
         #
         < AT Goloman ~ {KIWI}
         < AT Goloman ~ {KIWI}
         {{ 3
         < AT Goloman ~ {KIWI}
         {{ 1
         ."
    ));
}

#[test]
fn a_line_may_have_4096_bytes_and_not_one_more() {
    let fits = "x".repeat(4096);
    check(&format!("@ Goloman\n > {fits}\n < ? {fits}\n > y\n < ? y"));
    let start = format!("{}{}", "A".repeat(60), "BCDEFGHIJKLMNOP");
    let longer = format!("{start}{}", "z".repeat(4097 - start.len()));
    check(&format!("@ Goloman\n > before\n > {longer}\n < ? before\n < ? {}BCDE\n .", "A".repeat(60)));
    check(&format!("@ Goloman\n >> {longer}\n < ? {}BCDE\n .", "A".repeat(60)));
}

#[test]
fn a_refusal_waits_for_the_answers_before_it() {
    let longer = "z".repeat(4097);
    check(&format!(
        "@ Goloman
         > IAMAT {KIWI}
         > WHATSAT kiwi.cs.ucla.edu 10 1
         > {longer}
         < AT Goloman ~ {KIWI}
         < AT Goloman ~ {KIWI}
         {{ 1
         < ? {}
         .",
        "z".repeat(64)
    ));
}

#[test]
fn clients_do_not_disturb_each_other() {
    check(
        "@ Goloman one
         >> IAMAT a +1+1
         @ Goloman two
         > IAMAT b +2+2 5
         < AT Goloman ~ b +2+2 5
         @ Goloman one
         >> \\x205\\n
         < AT Goloman ~ a +1+1 5",
    );
}

#[test]
fn helsinki_has_places_of_its_own() {
    check(
        "@ Holiday
         > IAMAT me +60.1699+24.9384 5
         < AT Holiday ~ me +60.1699+24.9384 5
         > WHATSAT me 0.5 20
         < AT Holiday ~ me +60.1699+24.9384 5
         { 20",
    );
}

/// On the simulated network, `topologies` tests it.
#[test]
fn a_report_given_to_any_server_of_one_process_reaches_all_five() {
    let provider = Provider::embedded().expect("a certificate");
    for (herd, text) in topologies::SHIPPED {
        let topology = Topology::parse(text).expect(herd);
        topologies::spread(&mut Loopback::new(topology.clone(), |_| provider.clone()), &topology);
    }
}
