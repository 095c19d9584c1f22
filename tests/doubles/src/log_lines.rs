//! What a search of the log for a message would find.

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    thread::{self, ThreadId},
};

use tracing::{Event, Level, Subscriber, field::Field};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry,
};

static LINES: Mutex<Vec<(ThreadId, Level, String)>> = Mutex::new(Vec::new());
static INSTALLED: OnceLock<()> = OnceLock::new();

/// Begins to note what is logged. Every test of a binary that counts lines calls it first: an event's place in the
/// code that is reached before there is a subscriber may count as unwanted for good.
pub fn install() {
    INSTALLED.get_or_init(|| {
        tracing::subscriber::set_global_default(registry().with(Notes)).expect("nobody else installs one");
    });
}

/// The lines of one level with exactly one message that this thread, and so this test, logs from now on.
pub struct LogLines {
    level: Level,
    message: &'static str,
    before: usize,
}

impl LogLines {
    /// Begins to count.
    #[must_use]
    pub fn of(level: Level, message: &'static str) -> Self {
        install();
        Self { level, message, before: all(level, message) }
    }

    /// How many there are by now.
    #[must_use]
    pub fn count(&self) -> usize {
        all(self.level, self.message) - self.before
    }
}

fn all(level: Level, message: &str) -> usize {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().filter(|line| line.0 == thread::current().id() && line.1 == level && line.2 == message).count()
}

struct Notes;

impl<S: Subscriber> Layer<S> for Notes {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = String::new();
        event.record(&mut |field: &Field, value: &dyn std::fmt::Debug| {
            if field.name() == "message" {
                message = format!("{value:?}");
            }
        });
        let line = (thread::current().id(), *event.metadata().level(), message);
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}
