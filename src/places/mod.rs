//! A question about what is near, and Google's answer to it as text. No I/O.
//!
//! ```text
//! question -> api's request ~~> response's body -> api: as it is, or through mapping -> answer -> the client's text
//!                         standin <- gazetteer <- geometry
//! ```
//!
//! The stand-in answers in Google's stead, in Google's [`layout`]; with [`faults`], as wrongly as it is told: the answer is a
//! [`plan`] then.

pub mod answer;
pub mod api;
pub mod faults;
pub mod gazetteer;
pub mod geometry;
pub mod key;
pub mod layout;
#[cfg(test)]
pub(crate) mod layout_check;
pub mod mapping;
pub mod plan;
pub mod question;
pub mod standin;
