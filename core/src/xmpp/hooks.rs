//! What tests outside of this crate need of the framing.

use std::io;

use super::framing::{self, Splitter};

/// The frames that a stream becomes when it is written in `pieces`, and whether it was refused behind them.
pub fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, bool) {
    let mut splitter = Splitter::default();
    let refused = pieces.into_iter().any(|piece| splitter.feed(piece).is_err());
    (std::iter::from_fn(|| splitter.next_frame()).map(|frame| frame.to_string()).collect(), refused)
}

/// The bytes of a stream that a frame from the server becomes.
///
/// # Errors
/// When it is no XMPP frame.
pub fn stream_bytes(frame: &str) -> io::Result<Vec<u8>> {
    framing::stream_bytes(frame.into()).map(|bytes| bytes.to_vec())
}
