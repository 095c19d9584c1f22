//! What a search of the log for a message would find.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tracing::{Event, Level, Subscriber, field::Field, subscriber::DefaultGuard};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry,
};

/// Counts the lines of one level with exactly one message, on this thread while it lives.
pub(crate) struct LogLines {
    count: Arc<AtomicUsize>,
    _guard: DefaultGuard,
}

impl LogLines {
    pub(crate) fn of(level: Level, message: &'static str) -> Self {
        let count = Arc::new(AtomicUsize::new(0));
        let layer = Counter { level, message, count: count.clone() };
        Self { count, _guard: tracing::subscriber::set_default(registry().with(layer)) }
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

struct Counter {
    level: Level,
    message: &'static str,
    count: Arc<AtomicUsize>,
}

impl<S: Subscriber> Layer<S> for Counter {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = String::new();
        event.record(&mut |field: &Field, value: &dyn std::fmt::Debug| {
            if field.name() == "message" {
                message = format!("{value:?}");
            }
        });
        if *event.metadata().level() == self.level && message == self.message {
            self.count.fetch_add(1, Ordering::SeqCst);
        }
    }
}
