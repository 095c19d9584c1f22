//! W3C Trace Context: what a call belongs to, from the platform's event or request to the XMPP server.
//!
//! A trace reaches a function as the header `traceparent` of a request, as the attribute of that name of an SQS message (the
//! bridge copies it from the AMQP header), or as X-Ray's header on AWS. [`join`](super::join) makes a span part of it; [`current`] is what goes
//! out: as the header `traceparent` of HTTP calls and of the WebSocket's handshake, and at the end of the id of each request
//! to the XMPP server, which has no other place for it (an IQ has one payload; RFC 6120, section 8.2.3).

use std::{fmt, str::FromStr};

use tracing::Span;
use tracing_subscriber::{Registry, registry::LookupSpan};

/// The name of the header and of the message attribute.
pub const TRACEPARENT: &str = "traceparent";

/// A place in a trace (Trace Context, section 3.2): the trace, and the span that is the parent of what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    pub(super) trace: u128,
    pub(super) span: u64,
    pub(super) sampled: bool,
}

/// The text is no `traceparent`; to be dropped, as the standard asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTraceparent;

impl TraceContext {
    /// The beginning of a trace.
    #[must_use]
    pub fn start() -> Self {
        Self { trace: fastrand::u128(1..), span: fastrand::u64(1..), sampled: false }
    }

    /// A span of the same trace.
    #[must_use]
    pub(super) fn child(self) -> Self {
        Self { span: fastrand::u64(1..), ..self }
    }

    /// The trace's id, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The span's id, 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(self) -> String {
        format!("{:016x}", self.span)
    }

    /// From X-Ray's header, `Root=1-<8 digits>-<24 digits>;Parent=<16 digits>;Sampled=1`.
    #[must_use]
    pub fn from_xray(header: &str) -> Option<Self> {
        let field = |name| xray_field(header, name);
        let mut root = field("Root")?.split('-');
        let (Some("1"), Some(time), Some(random), None) = (root.next(), root.next(), root.next(), root.next()) else {
            return None;
        };
        let trace = hex(time, 8)? << 96 | hex(random, 24)?;
        let span = field("Parent").and_then(|parent| hex(parent, 16)).unwrap_or_default();
        Some(Self { trace, span: u64::try_from(span).ok()?, sampled: field("Sampled") == Some("1") })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceparent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceparent> {
        let mut fields = text.split('-');
        let mut next = |digits| fields.next().and_then(|field| hex(field, digits)).ok_or(InvalidTraceparent);
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        // Later versions may have more fields; version 0 has these.
        if version == 0xff || trace == 0 || span == 0 || (version == 0 && fields.next().is_some()) {
            return Err(InvalidTraceparent);
        }
        let span = u64::try_from(span).map_err(|_| InvalidTraceparent)?;
        Ok(Self { trace, span, sampled: flags & 1 == 1 })
    }
}

/// A field of X-Ray's header, `Root=…;Parent=…;Sampled=…`.
pub(crate) fn xray_field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header.split(';').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
}

/// A number of so many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let fits = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    fits.then(|| u128::from_str_radix(text, 16).ok())?
}

/// Where the code that runs now belongs to; `None` outside of every trace.
#[must_use]
pub fn current() -> Option<TraceContext> {
    with_span(&Span::current(), |span| span.scope().find_map(|span| span.extensions().get::<TraceContext>().copied()))?
}

/// Looks at `span` where this crate's subscriber keeps it; not at all under another subscriber, or none.
pub(super) fn with_span<T>(
    span: &Span,
    look: impl FnOnce(tracing_subscriber::registry::SpanRef<'_, Registry>) -> T,
) -> Option<T> {
    let look =
        |(id, dispatch): (&tracing::Id, &tracing::Dispatch)| Some(look(dispatch.downcast_ref::<Registry>()?.span(id)?));
    span.with_subscriber(look)?
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_well_formed_ones_are_read() {
        let context: TraceContext = TRACE.parse().unwrap();
        assert_eq!(context.to_string(), TRACE);
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-what-comes";
        assert_eq!(later.parse(), Ok(context));
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-+bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(bad.parse::<TraceContext>(), Err(InvalidTraceparent), "{bad}");
        }
    }

    #[test]
    fn xrays_header_is_read() {
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a:0";
        let context = TraceContext::from_xray(header).unwrap();
        assert_eq!(context.to_string(), "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01");
        assert!(TraceContext::from_xray("Root=1-5759e988-bd862e3fe1be46a994272793").is_some());
        for bad in ["", "Root=2-5759e988-bd862e3fe1be46a994272793", "Root=1-5759e988", "Parent=53995c3f42cd8ad8"] {
            assert_eq!(TraceContext::from_xray(bad), None, "{bad}");
        }
    }
}
