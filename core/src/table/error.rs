//! What can go wrong at the table.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::cause::root_cause;

/// Why the table did not do it. Retry helps, at the latest when what the text asks for is done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct TableError {
    text: String,
    is_throttling: bool,
}

impl TableError {
    fn new(text: String) -> Self {
        Self { text, is_throttling: false }
    }

    /// Of an item that is not as this service writes it.
    pub(crate) fn of_item(place: &str, fault: &str) -> Self {
        Self::new(format!("the item {place} cannot be read, {fault}; restore it, or delete it and run resync"))
    }

    pub(super) fn unprocessed(table: &str) -> Self {
        Self::new(format!("table {table} is throttled; a retry may succeed, else raise its limits"))
    }

    /// Whether it was asked too much at once.
    pub(super) fn is_throttling(&self) -> bool {
        self.is_throttling
    }

    /// What DynamoDB said, or else the innermost cause.
    pub(super) fn of_call<E>(table: &str, error: &SdkError<E>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let Some(code) = error.code() else {
            let cause = root_cause(error);
            return Self::new(format!(
                "table {table} did not answer ({cause}); see that DynamoDB can be reached and retry"
            ));
        };
        let said = error.message().unwrap_or("no message");
        let is_throttling =
            matches!(code, "ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded");
        let hint = match code {
            "ResourceNotFoundException" => "create the table, or correct the key [ledger] table",
            "AccessDeniedException" | "UnrecognizedClientException" | "ExpiredTokenException" => {
                "allow this process to read and write the table"
            }
            _ if is_throttling => "a retry may succeed, else raise the table's limits",
            _ => "a retry may succeed",
        };
        Self { text: format!("table {table} did not do it ({code}: {said}); {hint}"), is_throttling }
    }
}
