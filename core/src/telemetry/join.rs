//! Making a span part of a trace, here and where spans are exported to.

use tracing::Span;

use super::trace::{TraceContext, current, with_span};

/// Makes `span` part of a trace: of the one that `parent` names, else of the enclosing span's, else of a new one.
pub fn join(span: &Span, parent: Option<TraceContext>) {
    let context = parent.or_else(current).map_or_else(TraceContext::start, TraceContext::child);
    // Where spans are exported, the exporter has named this one.
    #[cfg(feature = "otel")]
    let context = super::otel::adopt(span, parent).unwrap_or(context);
    with_span(span, |span| {
        span.extensions_mut().replace(context);
    });
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::registry;

    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn spans_belong_to_the_trace_they_join() {
        tracing::subscriber::with_default(registry(), || {
            assert_eq!(current(), None);
            let parent: TraceContext = TRACE.parse().unwrap();
            let outer = tracing::error_span!("outer");
            join(&outer, Some(parent));
            let _outer = outer.enter();
            let own = current().unwrap();
            assert_eq!((own.trace, own.sampled), (parent.trace, true));
            assert_ne!(own.span, parent.span);

            let inner = tracing::error_span!("inner");
            let _inner = inner.enter();
            assert_eq!(current(), Some(own), "a span that joined nothing is part of the one around it");
            join(&inner, None);
            assert_eq!(current().unwrap().trace, parent.trace);
            assert_ne!(current().unwrap().span, own.span);

            let other = tracing::error_span!(parent: None, "other");
            join(&other, Some(TraceContext::start()));
            let _other = other.enter();
            assert_ne!(current().unwrap().trace, parent.trace);
        });
    }
}
