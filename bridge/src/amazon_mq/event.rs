//! What Amazon MQ's event source hands to a function.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::content;

/// An invocation's event.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AmazonMqEvent {
    pub(super) rmq_messages_by_queue: BTreeMap<String, Vec<Message>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message {
    #[serde(default)]
    pub(super) basic_properties: Properties,
    pub(super) data: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Properties {
    headers: Option<BTreeMap<String, serde_json::Value>>,
    pub(super) message_id: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Properties {
    /// A header that is text: `{"bytes": […]}` for AMQP's long string, or a JSON string.
    pub(super) fn header(&self, name: &str) -> Option<Vec<u8>> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Text {
            Bytes { bytes: Vec<i16> },
            Plain(String),
        }
        match serde_json::from_value(self.headers.as_ref()?.get(name)?.clone()).ok()? {
            // Java's bytes have a sign.
            Text::Bytes { bytes } => bytes.into_iter().map(|byte| byte.to_le_bytes()[0]).map(Some).collect(),
            Text::Plain(text) => Some(text.into_bytes()),
        }
    }

    /// The attributes of a `CloudEvent` among headers: binary mode.
    pub(super) fn attributes(&self) -> BTreeMap<String, String> {
        let attribute =
            |header: &String| Some((content::attribute_name(header)?, String::from_utf8(self.header(header)?).ok()?));
        self.headers.iter().flat_map(BTreeMap::keys).filter_map(attribute).collect()
    }

    /// The event type, found as the head of `amazon_mq` says.
    pub(super) fn routing_key(&self, body: &[u8]) -> String {
        #[derive(Deserialize)]
        struct CloudEvent {
            #[serde(rename = "specversion")]
            _version: serde::de::IgnoredAny,
            #[serde(rename = "type")]
            kind: String,
        }
        if let Some(key) = self.header("x-sippo-routing-key").and_then(|key| String::from_utf8(key).ok()) {
            return key;
        }
        if let Ok(CloudEvent { kind, .. }) = serde_json::from_slice(body) {
            return kind;
        }
        self.attributes().remove("type").or_else(|| self.kind.clone()).unwrap_or_default()
    }
}
