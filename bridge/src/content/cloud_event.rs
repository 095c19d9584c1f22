//! `CloudEvents` in binary mode: attributes in headers, data in the body (AMQP protocol binding 1.0, section 3.1).

use std::fmt::Write as _;

use serde_json::value::RawValue;

use crate::route::Published;

/// How headers begin that hold an attribute: as the AMQP binding has it, and as what comes through HTTP keeps it.
const PREFIXES: [&str; 4] = ["cloudEvents:", "cloudEvents_", "ce-", "ce_"];

/// The media type of structured mode.
const STRUCTURED: &str = "application/cloudevents";

/// The name of the attribute that a header holds.
#[must_use]
pub fn attribute_name(header: &str) -> Option<String> {
    let has = |prefix: &&&str| header.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let name = &header[PREFIXES.iter().find(has)?.len()..];
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_name && name != "data").then(|| name.to_ascii_lowercase())
}

/// The event in structured mode; `None` if it is not in binary mode, or its data is not JSON.
pub(super) fn structured(message: &Published<'_>, data: &[u8]) -> Option<Vec<u8>> {
    let content_type = message.content_type.unwrap_or_default();
    let is_structured = content_type.get(..STRUCTURED.len()).is_some_and(|it| it.eq_ignore_ascii_case(STRUCTURED));
    if is_structured || !message.attributes.contains_key("specversion") {
        return None;
    }
    let data: &RawValue = serde_json::from_slice(data).ok()?;
    let content_type = (!content_type.is_empty()).then_some(("datacontenttype", content_type));
    let attributes = message.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut event = String::from("{");
    for (name, value) in attributes.filter(|(name, _)| *name != "datacontenttype").chain(content_type) {
        let value = serde_json::to_string(value).expect("a string is JSON");
        let _ = write!(event, "\"{name}\":{value},");
    }
    let _ = write!(event, "\"data\":{data}}}");
    Some(event.into_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn message(content_type: Option<&str>) -> Published<'_> {
        let attributes = [("specversion", "1.0"), ("id", "e\"1"), ("source", "/p"), ("type", "domain.created")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Published { content_type, attributes, ..Published::default() }
    }

    #[test]
    fn attributes_come_under_several_names() {
        for (header, name) in [
            ("cloudEvents:type", Some("type")),
            ("cloudEvents_specversion", Some("specversion")),
            ("CE-Id", Some("id")),
            ("ce_source", Some("source")),
            ("cloudEvents:", None),
            ("ce-data", None),
            ("ce-a.b", None),
            ("traceparent", None),
            ("cé-id", None),
            ("", None),
        ] {
            assert_eq!(attribute_name(header).as_deref(), name, "{header}");
        }
    }

    #[test]
    fn binary_mode_becomes_structured() {
        let event = structured(&message(Some("application/json")), br#"{"domain": 1e999}"#).unwrap();
        assert_eq!(
            String::from_utf8(event).unwrap(),
            concat!(
                r#"{"id":"e\"1","source":"/p","specversion":"1.0","type":"domain.created","#,
                r#""datacontenttype":"application/json","data":{"domain": 1e999}}"#
            )
        );
    }

    #[test]
    fn nothing_else_does() {
        assert!(structured(&message(Some("application/cloudevents+json; charset=utf-8")), b"{}").is_none());
        assert!(structured(&message(None), b"no JSON").is_none());
        let attributes = BTreeMap::from([("id".to_owned(), "1".to_owned())]);
        assert!(structured(&Published { attributes, ..Published::default() }, b"{}").is_none());
    }
}
