//! What all clients of AWS share.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// Region, credentials and endpoint as the environment gives them (`AWS_REGION`, `AWS_ENDPOINT_URL`, …); each
/// operation, with the SDK's own retries, ends within `limit`.
pub async fn sdk_config(limit: Duration) -> SdkConfig {
    // The SDK takes its TLS from here and nowhere else, so that one crypto provider serves the process.
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(TimeoutConfig::builder().operation_timeout(limit).build())
        .load()
        .await
}
