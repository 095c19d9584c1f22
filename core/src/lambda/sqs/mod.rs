//! The event functions: one batch of a queue after the other.

mod batch;
mod function;
mod queue;
#[cfg(test)]
mod tests;

pub(super) use self::function::RESERVE;
pub use self::function::run;
