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

/// The lines of one level, all or those with exactly one message, that this thread, and so this test, logs from now on.
pub struct LogLines {
    level: Level,
    message: Option<&'static str>,
    before: usize,
}

impl LogLines {
    /// Begins to count.
    #[must_use]
    pub fn of(level: Level, message: &'static str) -> Self {
        Self::begin(level, Some(message))
    }

    /// Begins to note whatever is logged at `level`.
    #[must_use]
    pub fn of_level(level: Level) -> Self {
        Self::begin(level, None)
    }

    fn begin(level: Level, message: Option<&'static str>) -> Self {
        install();
        Self { level, message, before: all(level, message).len() }
    }

    /// How many there are by now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.messages().len()
    }

    /// Their messages.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        all(self.level, self.message).split_off(self.before)
    }
}

fn all(level: Level, message: Option<&str>) -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let own = lines.iter().filter(|line| line.0 == thread::current().id() && line.1 == level);
    own.filter(|line| message.is_none_or(|message| line.2 == message)).map(|line| line.2.clone()).collect()
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
