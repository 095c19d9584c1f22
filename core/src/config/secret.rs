//! Secrets: given in the file or the environment, or kept in AWS Secrets Manager.

use std::{path::PathBuf, time::Duration};

use aws_sdk_secretsmanager::{
    Client,
    config::Builder,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_secret_value::GetSecretValueError,
};
use secrecy::SecretString;

use super::{error::ConfigError, source::Source};
use crate::{aws, cause::root_cause, secret::RotatingSecret};

/// A cold start that waits longer for its secret is better started anew.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What the configuration says of a secret.
#[derive(Debug, Clone)]
pub enum Secret {
    /// Itself.
    Given(SecretString),
    /// Where AWS Secrets Manager keeps it.
    Kept(KeptSecret),
}

/// A secret in AWS Secrets Manager.
#[derive(Debug, Clone)]
pub struct KeptSecret {
    arn: String,
    /// The file and the key that name it, for error messages.
    file: PathBuf,
    key: String,
    kind: &'static SecretKind,
}

/// The keys of a secret, and what it has to be.
#[derive(Debug)]
pub(super) struct SecretKind {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    /// The key of the ARN, which stands for the other.
    pub(super) arn_name: &'static str,
    /// What is wrong with a value, to follow the key's name; never the value itself.
    pub(super) check: fn(&SecretString) -> Result<(), &'static str>,
    /// How to correct it.
    pub(super) hint: &'static str,
}

impl Secret {
    /// What `source` says; none when it has neither key. The environment's has been preferred already.
    pub(super) fn read(source: &Source, kind: &'static SecretKind) -> Result<Option<Self>, ConfigError> {
        if let Some(value) = source.secret(kind.section, kind.name) {
            (kind.check)(&value).map_err(|fault| source.bad(kind.section, kind.name, fault, kind.hint))?;
            return Ok(Some(Self::Given(value)));
        }
        let Some(arn) = source.text(kind.section, kind.arn_name) else { return Ok(None) };
        if !arn.starts_with("arn:") {
            let hint = "write the secret's whole ARN, which begins with arn:";
            return Err(source.bad(kind.section, kind.arn_name, "is not an ARN", hint));
        }
        let (arn, file) = (arn.to_owned(), source.file().to_owned());
        Ok(Some(Self::Kept(KeptSecret { arn, file, key: source.named(kind.section, kind.arn_name), kind })))
    }

    /// The secret itself. One that Secrets Manager keeps is read now, and from then on as [`RotatingSecret`] says.
    ///
    /// # Errors
    /// [`ConfigError`] when Secrets Manager does not hand out a usable value; a new start may help.
    pub async fn resolve(&self) -> Result<RotatingSecret, ConfigError> {
        match self {
            Self::Given(value) => Ok(value.clone().into()),
            Self::Kept(kept) => {
                let kept = kept.clone();
                RotatingSecret::kept(kept.key.clone(), move || kept.clone().value()).await
            }
        }
    }
}

impl KeptSecret {
    /// The value of now, checked.
    async fn value(self) -> Result<SecretString, ConfigError> {
        let Self { arn, file, key, kind } = &self;
        let config = aws::sdk_config(TIMEOUT).await;
        let config = Builder::from(&config).retry_partition(aws::retries_of_its_own()).build();
        let client = Client::from_conf(config);
        let answer = client.get_secret_value().secret_id(arn).send().await;
        let answer = answer.map_err(|error| {
            let fault = format!("cannot be read from Secrets Manager: {arn}, {}", cause(&error));
            let hint = "allow secretsmanager:GetSecretValue on it and see that the function reaches Secrets Manager";
            ConfigError::of_key(file, key.as_str(), fault, hint)
        })?;
        // A line break at the end is what `aws … --secret-string file://token` leaves behind.
        let value = SecretString::from(answer.secret_string().unwrap_or_default().trim_end_matches(['\r', '\n']));
        (kind.check)(&value).map_err(|fault| {
            ConfigError::of_key(file, key.as_str(), format!("names {arn}, whose value {fault}"), kind.hint)
        })?;
        Ok(value)
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::Given(value.into())
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
