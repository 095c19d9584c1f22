//! The admin token from AWS Secrets Manager, read once at cold start.

use std::{path::Path, time::Duration};

use aws_sdk_secretsmanager::{
    config::timeout::TimeoutConfig,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_secret_value::GetSecretValueError,
};
use secrecy::SecretString;

use super::{
    AdminToken, ConfigError, Xmpp,
    sections::{TOKEN_MEND, check_token},
};
use crate::http::root_cause;

/// A cold start that waits longer for its secret is better started anew.
const TIMEOUT: Duration = Duration::from_secs(5);

const KEY: &str = "[xmpp] adminTokenSecretArn";

impl Xmpp {
    /// The admin token: the one given, or the one that Secrets Manager keeps.
    ///
    /// # Errors
    /// [`ConfigError`] when Secrets Manager does not hand out a usable token; a new start may help.
    pub async fn resolve_admin_token(&self) -> Result<SecretString, ConfigError> {
        match &self.admin_token {
            AdminToken::Given(token) => Ok(token.clone()),
            AdminToken::Secret { arn, file } => read(arn, file).await,
        }
    }
}

async fn read(arn: &str, file: &Path) -> Result<SecretString, ConfigError> {
    // The SDK takes its TLS from here and nowhere else, so that one crypto provider serves the process.
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
            aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https();
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(TimeoutConfig::builder().operation_timeout(TIMEOUT).build())
        .load()
        .await;
    let answer = aws_sdk_secretsmanager::Client::new(&config).get_secret_value().secret_id(arn).send().await;
    let answer = answer.map_err(|error| {
        let fault = format!("cannot be read from Secrets Manager: {arn}, {}", cause(&error));
        let mend = "allow secretsmanager:GetSecretValue on it and see that the function reaches Secrets Manager";
        ConfigError::of_key(file, KEY, fault, mend)
    })?;
    // A line break at the end is what `aws … --secret-string file://token` leaves behind.
    let token = SecretString::from(answer.secret_string().unwrap_or_default().trim_end_matches(['\r', '\n']));
    match check_token(&token) {
        Ok(()) => Ok(token),
        Err(fault) => Err(ConfigError::of_key(file, KEY, format!("names {arn}, whose value {fault}"), TOKEN_MEND)),
    }
}

/// What the service said, or else the innermost cause. Not the SDK's debug output: that may hold the
/// body of an answer, and so the secret.
fn cause(error: &SdkError<GetSecretValueError>) -> String {
    if let (Some(code), message) = (error.code(), error.message()) {
        return format!("{code}: {}", message.unwrap_or("no message"));
    }
    root_cause(error)
}
