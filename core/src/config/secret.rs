//! Secrets from AWS Secrets Manager, read once at cold start.

use std::{path::Path, time::Duration};

use aws_sdk_secretsmanager::{
    error::{ProvideErrorMetadata, SdkError},
    operation::get_secret_value::GetSecretValueError,
};
use secrecy::SecretString;

use super::{error::ConfigError, source::Source};
use crate::{aws, cause::root_cause};

/// A cold start that waits longer for its secret is better started anew.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The error for a key that should hold a secret's ARN and does not.
pub(super) fn check_arn(
    source: &Source,
    section: &'static str,
    name: &'static str,
    arn: &str,
) -> Result<(), ConfigError> {
    if arn.starts_with("arn:") {
        return Ok(());
    }
    Err(source.bad(section, name, "is not an ARN", "write the secret's whole ARN, which begins with arn:"))
}

/// The value of the secret that `key` names by its ARN.
pub(super) async fn read(arn: &str, file: &Path, key: &str) -> Result<SecretString, ConfigError> {
    let config = aws::sdk_config(TIMEOUT).await;
    let answer = aws_sdk_secretsmanager::Client::new(&config).get_secret_value().secret_id(arn).send().await;
    let answer = answer.map_err(|error| {
        let fault = format!("cannot be read from Secrets Manager: {arn}, {}", cause(&error));
        let hint = "allow secretsmanager:GetSecretValue on it and see that the function reaches Secrets Manager";
        ConfigError::of_key(file, key, fault, hint)
    })?;
    // A line break at the end is what `aws … --secret-string file://token` leaves behind.
    Ok(SecretString::from(answer.secret_string().unwrap_or_default().trim_end_matches(['\r', '\n'])))
}

/// What the service said, or else the innermost cause. Not the SDK's debug output: that may hold the
/// body of an answer, and so the secret.
fn cause(error: &SdkError<GetSecretValueError>) -> String {
    if let (Some(code), message) = (error.code(), error.message()) {
        return format!("{code}: {}", message.unwrap_or("no message"));
    }
    root_cause(error)
}
