//! Attacks on the private parts: compiled into the library's own tests, so that nothing has to be public for them.

mod differential;
mod known_answers;
mod properties;
mod published_secrets;
mod random;
mod timing;
mod tokens;
mod vectors;
