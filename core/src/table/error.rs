//! What can go wrong at the table.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::http::root_cause;

/// Why the table did not do it. Retry helps, at the latest when what the text asks for is done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TableError(String);

impl TableError {
    /// Of an item that is not as this service writes it.
    pub(crate) fn of_item(place: &str, fault: &str) -> Self {
        Self(format!("the item {place} cannot be read, {fault}; restore it, or delete it and run resync"))
    }

    pub(super) fn unprocessed(table: &str) -> Self {
        Self(format!("table {table} is throttled; a retry may succeed, else raise its limits"))
    }

    /// What DynamoDB said, or else the innermost cause.
    pub(super) fn of_call<E>(table: &str, error: &SdkError<E>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let Some(code) = error.code() else {
            let cause = root_cause(error);
            return Self(format!("table {table} did not answer ({cause}); see that DynamoDB can be reached and retry"));
        };
        let said = error.message().unwrap_or("no message");
        let mend = match code {
            "ResourceNotFoundException" => "create the table, or correct the key [ledger] table",
            "AccessDeniedException" | "UnrecognizedClientException" | "ExpiredTokenException" => {
                "allow this process to read and write the table"
            }
            "ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded" => {
                "a retry may succeed, else raise the table's limits"
            }
            _ => "a retry may succeed",
        };
        Self(format!("table {table} did not do it ({code}: {said}); {mend}"))
    }
}
