//! The admin token from AWS Secrets Manager, read once at cold start.

use std::time::Duration;

use aws_sdk_secretsmanager::{config::timeout::TimeoutConfig, error::DisplayErrorContext};
use secrecy::SecretString;

use super::{
    AdminToken, Xmpp,
    sections::{TOKEN_MEND, check_token},
};

/// A cold start that waits longer for its secret is better started anew.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why the secret could not be had; one line, without the secret. A new start may help.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Secrets Manager could not be asked, or refused.
    #[error(
        "[xmpp] adminTokenSecretArn: {arn} cannot be read ({cause}); allow secretsmanager:GetSecretValue on it and see that the function reaches Secrets Manager"
    )]
    Unreadable {
        /// The secret's ARN.
        arn: String,
        /// What the SDK said.
        cause: String,
    },
    /// The value is no good as an admin token.
    #[error("[xmpp] adminTokenSecretArn: the value of {arn} {fault}; {TOKEN_MEND}")]
    Unusable {
        /// The secret's ARN.
        arn: String,
        /// What is wrong with the value.
        fault: &'static str,
    },
}

impl Xmpp {
    /// The admin token: the one given, or the one that Secrets Manager keeps.
    ///
    /// # Errors
    /// [`SecretError`] when Secrets Manager does not hand out a usable token.
    pub async fn resolve_admin_token(&self) -> Result<SecretString, SecretError> {
        match &self.admin_token {
            AdminToken::Given(token) => Ok(token.clone()),
            AdminToken::Secret(arn) => read(arn).await,
        }
    }
}

async fn read(arn: &str) -> Result<SecretString, SecretError> {
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
    let answer = answer.map_err(|error| SecretError::Unreadable {
        arn: arn.to_owned(),
        cause: DisplayErrorContext(&error).to_string(),
    })?;
    // A line break at the end is what `aws … --secret-string file://token` leaves behind.
    let token = SecretString::from(answer.secret_string().unwrap_or_default().trim_end_matches(['\r', '\n']));
    match check_token(&token) {
        Ok(()) => Ok(token),
        Err(fault) => Err(SecretError::Unusable { arn: arn.to_owned(), fault }),
    }
}
