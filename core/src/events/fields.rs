//! Reading the fields of JSON objects, each fault with its path.
//!
//! Only the fields that are asked for are looked into: whatever else a publisher sends, however odd,
//! is none of our business.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::poison::{FieldPath, Poison};

/// What a participant or an owner is.
pub(super) const USER: &str = "a user name, a JID or an object with username";

const STRING: &str = "a string of valid Unicode";
const OBJECT: &str = "an object";
const LIST: &str = "an array";

/// The members of an object; of members with one name the last one counts.
pub(super) struct Fields<'a> {
    /// The object's path; none for the payload and its envelope.
    path: Option<FieldPath>,
    members: BTreeMap<String, &'a RawValue>,
}

impl<'a> Fields<'a> {
    /// The whole of a body.
    pub(super) fn of_body(json: &'a RawValue) -> Result<Self, Poison> {
        Ok(Self { path: None, ..Self::of_object(json, FieldPath::field("the body"))? })
    }

    /// The object at `path`.
    pub(super) fn of_object(json: &'a RawValue, path: FieldPath) -> Result<Self, Poison> {
        let members = serde_json::from_str(json.get()).map_err(|_| Poison::IllTyped { path, wanted: OBJECT })?;
        Ok(Self { path: Some(path), members })
    }

    /// Whether a member is there, be it null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    pub(super) fn path(&self, name: &'static str) -> FieldPath {
        self.path.map_or(FieldPath::field(name), |path| path.member(name))
    }

    /// The member, if it is there and not null.
    pub(super) fn optional(&self, name: &str) -> Option<&'a RawValue> {
        self.members.get(name).copied().filter(|json| json.get() != "null")
    }

    pub(super) fn mandatory(&self, name: &'static str) -> Result<&'a RawValue, Poison> {
        self.optional(name).ok_or_else(|| Poison::Missing(self.path(name)))
    }

    pub(super) fn optional_text(&self, name: &'static str) -> Result<Option<String>, Poison> {
        self.optional(name).map(|json| text(json, self.path(name))).transpose()
    }

    pub(super) fn text(&self, name: &'static str) -> Result<String, Poison> {
        text(self.mandatory(name)?, self.path(name))
    }

    /// A string with something in it.
    pub(super) fn filled_text(&self, name: &'static str) -> Result<String, Poison> {
        Some(self.text(name)?).filter(|text| !text.is_empty()).ok_or_else(|| Poison::Empty(self.path(name)))
    }

    pub(super) fn optional_list(&self, name: &'static str) -> Result<Option<Vec<&'a RawValue>>, Poison> {
        self.optional(name).map(|json| list(json, self.path(name))).transpose()
    }

    pub(super) fn list(&self, name: &'static str) -> Result<Vec<&'a RawValue>, Poison> {
        list(self.mandatory(name)?, self.path(name))
    }
}

/// The string at `path`.
pub(super) fn text(json: &RawValue, path: FieldPath) -> Result<String, Poison> {
    serde_json::from_str(json.get()).map_err(|_| Poison::IllTyped { path, wanted: STRING })
}

fn list(json: &RawValue, path: FieldPath) -> Result<Vec<&RawValue>, Poison> {
    serde_json::from_str(json.get()).map_err(|_| Poison::IllTyped { path, wanted: LIST })
}
