//! What a message's body says, whatever it came wrapped in: the JSON that is stamped is what functions read.
//!
//! Unwrapped are gzip and deflate (by the property `content_encoding`, or by how they begin), what RabbitMQ's AMQP 1.0 makes of
//! a value, and a byte order mark. A `CloudEvent` in binary mode is put into structured mode. What cannot be unwrapped goes
//! on as it is: its function names it in the reason.

mod amqp1;
mod cloud_event;

use std::{borrow::Cow, io::Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use serde::de::IgnoredAny;

pub use self::cloud_event::attribute_name;
use crate::{batches::MAX_BYTES, route::Published};

/// So many layers are unwrapped: AMQP 1.0 around gzip around a byte order mark, and one to spare.
const MAX_LAYERS: usize = 4;

const GZIP: &[u8] = &[0x1f, 0x8b];
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// A body that is larger than SQS takes once it is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// The body of a message as JSON, as far as it can be unwrapped.
///
/// # Errors
/// [`TooLarge`]: it was not unpacked to the end.
pub fn body<'a>(message: &Published<'a>) -> Result<Cow<'a, [u8]>, TooLarge> {
    let mut body = Cow::Borrowed(message.body);
    for encoding in message.content_encoding.unwrap_or_default().rsplit(',') {
        let unpacked = match encoding.trim().to_ascii_lowercase().as_str() {
            // Without a header of its own, and so not to be told from anything else: JSON may be a stream of it by chance.
            "deflate" if !is_zlib(&body) && !is_json(&body) => unpack(DeflateDecoder::new(&*body))?,
            // gzip tells itself; some set the property and do not compress.
            _ => None,
        };
        body = unpacked.map_or(body, Cow::Owned);
    }
    for _ in 0..MAX_LAYERS {
        let Some(inner) = unwrap(&body)? else { break };
        body = Cow::Owned(inner);
    }
    Ok(cloud_event::structured(message, &body).map_or(body, Cow::Owned))
}

/// The `content_encoding` of a message whose body is no JSON, if that may be why; `body` is what [`body`] gave.
#[must_use]
pub fn unread_encoding<'a>(message: &Published<'a>, body: &[u8]) -> Option<&'a str> {
    let encoding = message.content_encoding?;
    let is_text = std::str::from_utf8(body).is_ok();
    let may_be_why = |one: &str| match one.trim().to_ascii_lowercase().as_str() {
        "" | "identity" | "utf-8" | "utf8" => false,
        // Some set the property and do not compress.
        "gzip" | "x-gzip" | "deflate" => !is_text,
        _ => true,
    };
    (encoding.split(',').any(may_be_why) && !(is_text && is_json(body))).then_some(encoding)
}

fn unwrap(body: &[u8]) -> Result<Option<Vec<u8>>, TooLarge> {
    if body.starts_with(GZIP) {
        return unpack(MultiGzDecoder::new(body));
    }
    if is_zlib(body) {
        return unpack(ZlibDecoder::new(body));
    }
    if let Some(text) = body.strip_prefix(BYTE_ORDER_MARK) {
        return Ok(Some(text.to_vec()));
    }
    Ok(amqp1::unwrap(body))
}

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// RFC 1950, section 2.2: method 8, a window of at most 32 kB, and both bytes a multiple of 31. JSON begins otherwise.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [method, flags, ..] if method & 0x8f == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31))
}

/// All that can be read, or nothing when it ends in an error.
fn unpack(from: impl Read) -> Result<Option<Vec<u8>>, TooLarge> {
    let mut unpacked = Vec::new();
    match from.take(MAX_BYTES as u64 + 1).read_to_end(&mut unpacked) {
        Ok(length) if length > MAX_BYTES => Err(TooLarge),
        Ok(_) => Ok(Some(unpacked)),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };

    use super::*;

    const JSON: &[u8] = br#"{"domain": "a.test"}"#;

    fn read(content_encoding: Option<&str>, body: &[u8]) -> Result<Vec<u8>, TooLarge> {
        super::body(&Published { content_encoding, body, ..Published::default() }).map(Cow::into_owned)
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(JSON).unwrap();
        let marked = [BYTE_ORDER_MARK, JSON].concat();
        let value = [&[0, 0x53, 0x77, 0xa1, 20][..], JSON].concat();
        for (encoding, body) in [
            (None, JSON.to_vec()),
            (Some("utf-8"), JSON.to_vec()),
            (Some("gzip"), JSON.to_vec()),
            (Some("gzip"), gzip(JSON)),
            (None, gzip(JSON)),
            (Some("deflate"), zlib(JSON)),
            (None, zlib(JSON)),
            (Some("deflate"), raw.finish().unwrap()),
            (Some("gzip, deflate"), zlib(&gzip(JSON))),
            (None, marked.clone()),
            (None, gzip(&marked)),
            (None, value.clone()),
            (None, gzip(&value)),
        ] {
            assert_eq!(read(encoding, &body).unwrap(), JSON, "{encoding:?}: {body:02x?}");
        }
    }

    #[test]
    fn what_cannot_be_unpacked_stays_as_it_is() {
        let half = &gzip(JSON)[..20];
        let numbers: Vec<u8> = GZIP.iter().copied().chain(0..=255).collect();
        for body in [half, &numbers, b"\x78\x9crubbish", b"\x28\xb5\x2f\xfdzstd", b"", b"\xff\xfe{\0}\0"] {
            assert_eq!(read(None, body).unwrap(), body);
        }
        assert_eq!(read(Some("br"), b"\x0b\x02\x80{}\x03").unwrap(), b"\x0b\x02\x80{}\x03");
        assert_eq!(read(Some("deflate"), JSON).unwrap(), JSON);
        // This one is a stream of it as well, by chance.
        let both =
            br#"{"id":[{"id":null , "id":"alice@example.test" , "id":"idaid" , "id":null}] , "id":null , "id":null}"#;
        assert_eq!(read(Some("deflate"), both).unwrap(), both);
    }

    #[test]
    fn an_encoding_that_is_not_read_is_named() {
        let named = |content_encoding, published: &[u8]| {
            let message =
                Published { content_encoding: Some(content_encoding), body: published, ..Published::default() };
            unread_encoding(&message, &super::body(&message).unwrap()).map(str::to_owned)
        };
        for (encoding, body) in [
            ("br", &b"\x0b\x02\x80{}\x03"[..]),
            ("zstd", b"\x28\xb5\x2f\xfd\xff"),
            ("gzip, br", b"\x0b\x02\x80{}\x03"),
            ("br, gzip", &gzip(b"\x0b\x02\x80\xff")),
            ("Base64", b"e30="),
            ("iso-8859-1", b"{\"name\":\"\xfc\"}"),
            ("deflate", b"\xff\xff\xff"),
            ("gzip", &gzip(JSON)[..20]),
        ] {
            assert_eq!(named(encoding, body).as_deref(), Some(encoding), "{body:02x?}");
        }
        for (encoding, body) in [
            ("br", JSON),
            ("gzip", &gzip(JSON)),
            ("gzip", b"no JSON"),
            ("deflate", b"no JSON"),
            ("utf-8", b"\xff"),
            ("", b"\xff"),
            ("identity", b"no JSON"),
        ] {
            assert_eq!(named(encoding, body), None, "{encoding} {body:02x?}");
        }
    }

    #[test]
    fn a_bomb_is_too_large() {
        let zeros = vec![0; 64 << 20];
        let bomb = gzip(&zeros);
        assert!(bomb.len() < 100_000);
        assert_eq!(read(None, &bomb), Err(TooLarge));
        assert_eq!(read(None, &gzip(&bomb)), Err(TooLarge));
    }
}
