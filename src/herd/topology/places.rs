//! Who answers "what is near?", and how it may be asked: the `places` of a topology.
//!
//! What looks like a key is not repeated in an error. Whether the files exist, and whether there is a key, is not known here.

use super::json::{Errors, Field};
use super::reading::read_file;
use super::{Places, Provider, Rate, Url};

/// The `places` of a topology.
pub(super) fn read_places(field: &Field<'_>, errors: &mut Errors) -> Option<Places> {
    let known = ["provider", "url", "ca_file", "key_file", "rate"];
    let wanted = "an object, like { \"provider\": \"auto\" }";
    let [provider, url, ca_file, key_file, rate] = field.keys(known, wanted, errors)?;
    Some(Places {
        provider: provider.and_then(|field| read_provider(&field, errors)).unwrap_or_default(),
        url: url.and_then(|field| read_url(&field, errors)),
        ca_file: ca_file.and_then(|field| read_file(&field, FILE, errors)),
        key_file: key_file.and_then(|field| read_file(&field, FILE, errors)),
        rate: rate.and_then(|field| read_rate(&field, errors)).unwrap_or_default(),
    })
}

fn read_provider(field: &Field<'_>, errors: &mut Errors) -> Option<Provider> {
    match field.text(PROVIDER, errors)? {
        "auto" => Some(Provider::Auto),
        "legacy" => Some(Provider::Legacy),
        "embedded" => Some(Provider::Embedded),
        "new" => Some(Provider::New),
        _ => field.refuse(PROVIDER, errors),
    }
}

fn read_url(field: &Field<'_>, errors: &mut Errors) -> Option<Url> {
    let text = field.text("a URL, like \"https://HOST:PORT\"", errors)?;
    // Any part of it may be Google's key, or all: it is not repeated.
    let mut refuse = |[what, remedy]: [&str; 2]| errors.add(&field.path, format_args!("it {what}"), remedy);
    Url::parse(text).map_err(&mut refuse).ok()
}

fn read_rate(field: &Field<'_>, errors: &mut Errors) -> Option<Rate> {
    let [per_second, per_day] = field.keys(["per_second", "per_day"], RATE, errors)?;
    let mut read = |field: Option<Field<'_>>, most| field.and_then(|field| field.whole_number(1..=most, errors));
    Some(Rate { per_second: read(per_second, Rate::MOST_PER_SECOND), per_day: read(per_day, Rate::MOST_PER_DAY) })
}

const PROVIDER: &str = "\"auto\", \"legacy\", \"new\" or \"embedded\"";
const FILE: &str = "the name of a file";
const RATE: &str = "an object, like { \"per_second\": 10, \"per_day\": 1000 }";
