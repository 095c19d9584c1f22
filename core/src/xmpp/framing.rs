//! Between the byte stream of RFC 6120, which tokio-xmpp speaks, and the frames of RFC 7395.
//!
//! tokio-xmpp writes `<stream:stream …>`, then stanzas, then `</stream:stream>`. Over a WebSocket each
//! of these is a frame of its own: `<open/>`, a stanza that stands alone as a document, `<close/>`.

use std::{collections::VecDeque, io};

use bytes::{Buf, Bytes, BytesMut};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use xmpp_parsers::websocket;

/// RFC 7395, section 3.6; xmpp-parsers knows `<open/>` only.
const CLOSE: &str = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";
const STREAMS: &str = "http://etherx.jabber.org/streams";

/// Cuts outgoing bytes into frames.
///
/// Takes well-formed XML as tokio-xmpp's encoder writes it: no comments, CDATA sections or
/// processing instructions but the XML declaration. What is cut is not parsed again: a frame goes out
/// as it was encoded, but for the namespace that a stanza inherits from its stream and a document
/// has to declare itself.
#[derive(Default)]
pub(super) struct Splitter {
    /// Bytes of the frame that is still incomplete.
    pending: BytesMut,
    /// How far `pending` has been looked at.
    seen: usize,
    /// Where in `pending` the tag begins that is being looked at.
    tag: Option<usize>,
    /// The quote that ends the attribute value being looked at.
    quote: Option<u8>,
    /// Open elements below the stream's own.
    depth: usize,
    frames: VecDeque<Utf8Bytes>,
}

impl Splitter {
    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when they are not what tokio-xmpp writes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(bytes);
        while self.seen < self.pending.len() {
            let rest = &self.pending[self.seen..];
            match (self.tag, self.quote) {
                (None, _) => match memchr::memchr(b'<', rest) {
                    Some(at) => {
                        self.tag = Some(self.seen + at);
                        self.seen += at + 1;
                    }
                    None => self.seen = self.pending.len(),
                },
                (Some(_), Some(quote)) => match memchr::memchr(quote, rest) {
                    Some(at) => {
                        self.quote = None;
                        self.seen += at + 1;
                    }
                    None => self.seen = self.pending.len(),
                },
                (Some(start), None) => match memchr::memchr3(b'>', b'"', b'\'', rest) {
                    Some(at) => {
                        let found = rest[at];
                        self.seen += at + 1;
                        if found == b'>' {
                            self.tag = None;
                            self.end_of_tag(start)?;
                        } else {
                            self.quote = Some(found);
                        }
                    }
                    None => self.seen = self.pending.len(),
                },
            }
        }
        Ok(())
    }

    /// The next complete frame.
    pub(super) fn next_frame(&mut self) -> Option<Utf8Bytes> {
        self.frames.pop_front()
    }

    /// Puts `frame` behind those that are complete.
    pub(super) fn append(&mut self, frame: Utf8Bytes) {
        self.frames.push_back(frame);
    }

    /// `pending[start..seen]` is a whole tag.
    fn end_of_tag(&mut self, start: usize) -> io::Result<()> {
        let tag = &self.pending[start..self.seen];
        if tag.starts_with(b"<?") {
            self.pending.advance(self.seen);
            self.seen = 0;
        } else if tag.starts_with(b"<stream:stream") {
            let header = self.cut()?;
            self.frames.push_back(open_frame(&header)?);
        } else if tag.starts_with(b"</stream:stream") {
            self.cut()?;
            self.frames.push_back(Utf8Bytes::from_static(CLOSE));
        } else {
            let (closes, empty) = (tag[1] == b'/', tag[tag.len() - 2] == b'/');
            if self.depth == 0 {
                self.declare_namespace(start);
            }
            if closes {
                self.depth = self.depth.checked_sub(1).ok_or_else(|| invalid("an end tag without its start tag"))?;
            } else if !empty {
                self.depth += 1;
            }
            if self.depth == 0 {
                let frame = self.cut()?;
                self.frames.push_back(frame);
            }
        }
        Ok(())
    }

    /// Lets the element that begins at `start` declare the namespace it has from its stream.
    fn declare_namespace(&mut self, start: usize) {
        let tag = &self.pending[start..self.seen];
        let declaration = if tag.starts_with(b"<stream:") {
            format!(" xmlns:stream='{STREAMS}'")
        } else if !declares_namespace(tag) {
            " xmlns='jabber:client'".to_owned()
        } else {
            return;
        };
        let name = tag.iter().position(|byte| matches!(byte, b' ' | b'/' | b'>')).unwrap_or(tag.len());
        let rest = self.pending.split_off(start + name);
        self.pending.extend_from_slice(declaration.as_bytes());
        self.pending.extend_from_slice(&rest);
        self.seen += declaration.len();
    }

    /// Takes everything seen so far out as one frame.
    fn cut(&mut self) -> io::Result<Utf8Bytes> {
        let frame = self.pending.split_to(self.seen).freeze();
        self.seen = 0;
        let text = frame.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(frame.len());
        Utf8Bytes::try_from(frame.slice(text..)).map_err(|_| invalid("bytes that are not UTF-8"))
    }
}

/// The bytes that an RFC 6120 stream would carry for a frame from the server.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] when the frame is no XMPP frame.
pub(super) fn stream_bytes(frame: Utf8Bytes) -> io::Result<Bytes> {
    // Only <open/> and <close/> begin so; a message body that mentions the namespace does not.
    let head = frame.trim_start();
    if head.starts_with("<open") {
        let open: websocket::Open =
            xso::from_bytes(frame.as_bytes()).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let mut header = format!("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='{STREAMS}'");
        push_attribute(&mut header, "version", Some("1.0"));
        push_attribute(&mut header, "from", open.from.as_ref().map(|jid| jid.as_str()));
        push_attribute(&mut header, "id", open.id.as_deref());
        header.push('>');
        return Ok(header.into());
    }
    if head.starts_with("<close") {
        return Ok(Bytes::from_static(b"</stream:stream>"));
    }
    if !head.starts_with('<') {
        return Err(invalid("a frame that is not XML: the peer does not speak RFC 7395"));
    }
    Ok(frame.into())
}

/// An element as a frame that stands alone.
pub(super) fn frame_of(element: &impl xso::AsXml) -> io::Result<Utf8Bytes> {
    let bytes = xso::to_vec(element).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    Utf8Bytes::try_from(Bytes::from(bytes)).map_err(|_| invalid("bytes that are not UTF-8"))
}

/// The `<open/>` that corresponds to a stream header of tokio-xmpp.
fn open_frame(header: &str) -> io::Result<Utf8Bytes> {
    let to = attribute(header, "to").ok_or_else(|| invalid("a stream header without 'to'"))?;
    frame_of(&websocket::Open::new(to.parse().map_err(|_| invalid("a stream header to something not a JID"))?))
}

/// Whether `tag` declares its default namespace: what stands in the value of an attribute declares nothing.
fn declares_namespace(tag: &[u8]) -> bool {
    let mut quote = None;
    tag.iter().enumerate().any(|(at, byte)| match quote {
        Some(end) => {
            quote = quote.filter(|_| *byte != end);
            false
        }
        None if matches!(byte, b'"' | b'\'') => {
            quote = Some(*byte);
            false
        }
        None => tag[at..].starts_with(b" xmlns="),
    })
}

/// Attributes of a stream header are domains, which hold nothing that XML escapes.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let start = tag.find(&format!(" {name}="))? + name.len() + 2;
    let mut value = tag[start..].chars();
    let quote = value.next().filter(|quote| matches!(quote, '"' | '\''))?;
    value.as_str().split(quote).next()
}

fn push_attribute(tag: &mut String, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    tag.extend([" ", name, "='"]);
    for character in value.chars() {
        match character {
            '&' => tag.push_str("&amp;"),
            '<' => tag.push_str("&lt;"),
            '\'' => tag.push_str("&apos;"),
            other => tag.push(other),
        }
    }
    tag.push('\'');
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "<?xml version='1.0' encoding='utf-8'?>\n<stream:stream xmlns='jabber:client' \
        xmlns:stream='http://etherx.jabber.org/streams' to='example.test' version='1.0'>";

    /// Every frame, with the stream fed in pieces of `size` bytes.
    fn split(stream: &str, size: usize) -> Vec<String> {
        let mut splitter = Splitter::default();
        for piece in stream.as_bytes().chunks(size) {
            splitter.feed(piece).unwrap();
        }
        std::iter::from_fn(|| splitter.next_frame()).map(|frame| frame.to_string()).collect()
    }

    #[test]
    fn a_stream_becomes_frames_wherever_the_writes_end() {
        let stream = format!(
            "{HEADER}<iq id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>\n<presence/>\
             <message to=\"a'>b\"><body>1 &gt; 2 ü</body></message><auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AA==</auth></stream:stream>"
        );
        let whole = split(&stream, stream.len());
        assert_eq!(whole.len(), 6, "{whole:#?}");
        assert!(whole[0].starts_with("<open") && whole[0].contains("example.test"), "{}", whole[0]);
        assert_eq!(whole[1], "<iq xmlns='jabber:client' id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>");
        assert_eq!(whole[2], "<presence xmlns='jabber:client'/>");
        assert_eq!(whole[3], "<message xmlns='jabber:client' to=\"a'>b\"><body>1 &gt; 2 ü</body></message>");
        assert_eq!(whole[4], "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AA==</auth>");
        assert!(whole[5].starts_with("<close"));
        for size in [1, 2, 3, 7, 64] {
            assert_eq!(split(&stream, size), whole, "in pieces of {size}");
        }
    }

    #[test]
    fn what_stands_in_a_value_declares_no_namespace() {
        for (written, frame) in [
            ("<iq id='a xmlns='/>", "<iq xmlns='jabber:client' id='a xmlns='/>"),
            ("<iq id=\"' xmlns='b'\"/>", "<iq xmlns='jabber:client' id=\"' xmlns='b'\"/>"),
            ("<r id='a' xmlns='urn:xmpp:sm:3'/>", "<r id='a' xmlns='urn:xmpp:sm:3'/>"),
        ] {
            assert_eq!(split(written, written.len()), [frame]);
        }
    }

    #[test]
    fn what_is_not_tokio_xmpps_is_refused() {
        for stream in ["</iq>", "<stream:stream>", "<stream:stream to=élan>", "<stream:stream to=>"] {
            assert!(Splitter::default().feed(stream.as_bytes()).is_err(), "{stream}");
        }
    }

    #[test]
    fn server_frames_become_a_stream() {
        const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
        let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='example.test' id='a&apos;&lt;b' version='1.0' xml:lang='en'/>";
        let header = stream_bytes(open.into()).unwrap();
        let header = std::str::from_utf8(&header).unwrap();
        assert!(header.contains("from='example.test'") && header.contains("id='a&apos;&lt;b'"), "{header}");
        assert_eq!(&stream_bytes(format!("<close xmlns='{FRAMING}'/>").into()).unwrap()[..], b"</stream:stream>");
        let message = format!("<message xmlns='jabber:client'><body>{FRAMING}</body></message>");
        assert_eq!(&stream_bytes(message.clone().into()).unwrap()[..], message.as_bytes());
        for rubbish in ["hello", "<open xmlns='urn:other'/>", "{}"] {
            assert!(stream_bytes(rubbish.into()).is_err(), "{rubbish}");
        }
    }
}
