//! What a delivery of lapin's says to this service.

use std::collections::BTreeMap;

use lapin::{
    BasicProperties,
    message::Delivery,
    types::{
        AMQPValue::{self, LongString, ShortString as ShortText},
        FieldTable, ShortString,
    },
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    content,
    route::{Published, Unreadable},
};

/// The delivery as it was published.
pub(super) fn published(delivery: &Delivery) -> Published<'_> {
    let properties = &delivery.properties;
    let traceparent = properties.headers().as_ref().and_then(|headers| headers.inner().get("traceparent"));
    Published {
        tag: delivery.delivery_tag,
        routing_key: delivery.routing_key.as_str(),
        message_id: properties.message_id().as_ref().filter(|id| id.is_utf8()).map(ShortString::as_str),
        traceparent: match traceparent {
            Some(LongString(text)) => Some(text.as_bytes()),
            Some(ShortText(text)) => Some(text.as_bytes()),
            _ => None,
        },
        unreadable: unreadable(&delivery.routing_key, properties),
        content_type: properties.content_type().as_ref().map(ShortString::as_str),
        content_encoding: properties.content_encoding().as_ref().map(ShortString::as_str),
        attributes: properties.headers().as_ref().map(attributes).unwrap_or_default(),
        body: &delivery.data,
    }
}

/// The attributes of a `CloudEvent` among headers.
fn attributes(headers: &FieldTable) -> BTreeMap<String, String> {
    let attribute = |(name, value): (&ShortString, &AMQPValue)| {
        let name = content::attribute_name(name.as_str())?;
        let text = match value {
            LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok()?,
            ShortText(text) => text.to_string(),
            AMQPValue::Boolean(value) => value.to_string(),
            AMQPValue::LongInt(value) => value.to_string(),
            AMQPValue::LongLongInt(value) => value.to_string(),
            AMQPValue::Timestamp(seconds) => {
                OffsetDateTime::from_unix_timestamp(i64::try_from(*seconds).ok()?).ok()?.format(&Rfc3339).ok()?
            }
            _ => return None,
        };
        Some((name, text))
    };
    headers.inner().iter().filter_map(attribute).collect()
}

/// The first of a message's texts that cannot be read. What is in a header's value is not looked at: it harms nobody.
fn unreadable<'a>(routing_key: &'a ShortString, properties: &'a BasicProperties) -> Option<Unreadable<'a>> {
    let texts = [
        ("the content type", properties.content_type()),
        ("the content encoding", properties.content_encoding()),
        ("the correlation id", properties.correlation_id()),
        ("reply-to", properties.reply_to()),
        ("the expiration", properties.expiration()),
        ("the message id", properties.message_id()),
        ("the type", properties.kind()),
        ("the user id", properties.user_id()),
        ("the app id", properties.app_id()),
        ("the cluster id", properties.cluster_id()),
    ];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
    let headers = properties.headers().as_ref();
    let names = headers.into_iter().flat_map(|headers| headers.inner().keys()).map(|name| ("a header's name", name));
    std::iter::once(("the routing key", routing_key))
        .chain(texts)
        .chain(names)
        .find(|(_, text)| !text.is_utf8())
        .map(|(name, text)| Unreadable { name, bytes: text.as_bytes() })
        .or_else(|| {
            let bytes = headers.and_then(FieldTable::unread)?;
            Some(Unreadable { name: "the table of headers", bytes })
        })
}
