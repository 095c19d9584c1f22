//! Keys and items.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::error::TableError;

/// The attributes of an item, its key among them.
pub(crate) type Attributes = HashMap<String, AttributeValue>;

/// A primary key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The partition, at most 2,048 bytes.
    pub(crate) pk: String,
    /// The place in it, at most 1,024 bytes.
    pub(crate) sk: String,
}

impl Key {
    pub(crate) fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    /// As attributes.
    pub(crate) fn attributes(&self) -> Attributes {
        [("pk".to_owned(), text(&self.pk)), ("sk".to_owned(), text(&self.sk))].into()
    }
}

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: impl Into<u128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

pub(crate) fn bytes(value: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

/// An item that was read. Its accessors say which item it is that is not as it should be.
#[derive(Debug, Clone)]
pub(crate) struct Item(pub(super) Attributes);

impl Item {
    /// With these attributes.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn new(attributes: Attributes) -> Self {
        Self(attributes)
    }

    /// Its key.
    pub(crate) fn key(&self) -> Result<Key, TableError> {
        let part = |name: &str| self.text(name).ok().flatten().map(ToOwned::to_owned);
        match (part("pk"), part("sk")) {
            (Some(pk), Some(sk)) => Ok(Key { pk, sk }),
            _ => Err(TableError::of_item("without a key", "pk or sk is no string")),
        }
    }

    /// The error of this item.
    pub(crate) fn fault(&self, fault: &str) -> TableError {
        let part = |name: &str| self.0.get(name).and_then(|value| value.as_s().ok()).map_or("?", String::as_str);
        TableError::of_item(&format!("{} / {}", part("pk"), part("sk")), fault)
    }

    /// An attribute that is a string, if it is there.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, TableError> {
        let value = self.0.get(name).map(AttributeValue::as_s).transpose();
        value.map(|value| value.map(String::as_str)).map_err(|_| self.fault(&format!("{name} is no string")))
    }

    /// An attribute that is a number, if it is there.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, TableError> {
        let parse = |value: &AttributeValue| value.as_n().ok().and_then(|digits| digits.parse().ok());
        let value = self.0.get(name).map(parse);
        value.map(|value| value.ok_or_else(|| self.fault(&format!("{name} is no number in range")))).transpose()
    }

    /// An attribute that is a set of strings; one that is not there is empty, since no other set may be.
    pub(crate) fn texts(&self, name: &str) -> Result<&[String], TableError> {
        let value = self.0.get(name).map(AttributeValue::as_ss).transpose();
        let value = value.map_err(|_| self.fault(&format!("{name} is no set of strings")))?;
        Ok(value.map_or(&[], Vec::as_slice))
    }

    /// An attribute that is binary, if it is there.
    pub(crate) fn bytes(&self, name: &str) -> Result<Option<&[u8]>, TableError> {
        let value = self.0.get(name).map(AttributeValue::as_b).transpose();
        value.map(|value| value.map(Blob::as_ref)).map_err(|_| self.fault(&format!("{name} is not binary")))
    }
}
