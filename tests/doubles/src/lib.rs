//! What tests of several crates share and that knows none of these crates.

mod http_fake;
pub mod issuer;
pub mod log_lines;

pub use self::{
    http_fake::{HttpAnswer, HttpFake, HttpRequest},
    log_lines::LogLines,
};
