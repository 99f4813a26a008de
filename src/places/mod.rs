//! A question about what is near, and Google's answer to it as text. No I/O.
