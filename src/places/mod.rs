//! A question about what is near, and Google's answer to it as text. No I/O.
//!
//! ```text
//! question -> upstream's request ~~> response's body -> answer -> the client's text
//!                            of the new API: -> mapping -^
//!                              standin <- gazetteer <- geometry
//! ```
//!
//! The stand-in answers in Google's stead, in Google's [`layout`].

pub mod answer;
pub mod gazetteer;
pub mod geometry;
pub mod layout;
#[cfg(test)]
pub(crate) mod layout_check;
pub mod mapping;
pub mod question;
pub mod standin;
