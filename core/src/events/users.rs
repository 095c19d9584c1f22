//! The users that an event names.

use std::collections::HashSet;

use jid::DomainRef;
use serde_json::value::RawValue;

use super::{
    fields::{Fields, USER, text},
    poison::{FieldPath, Poison, Quoted},
};
use crate::address::{AddressError, Tenancy, UserJid};

/// Most users in one event: what a megabyte of short names would ask of a function's memory could end it, with
/// the events of others in its batch.
const MAX_USERS: usize = 20_000;

/// Without this capability a user has no chat at all.
const CHAT: &str = "chat";

/// Reads the users of one event.
pub(super) struct Users<'a> {
    tenancy: &'a Tenancy,
    /// The event's domain, for those who are named without one.
    domain: &'a DomainRef,
    /// Those of whom the event says that they have no chat.
    without_chat: HashSet<UserJid>,
}

impl<'a> Users<'a> {
    pub(super) fn new(tenancy: &'a Tenancy, domain: &'a DomainRef) -> Self {
        Self { tenancy, domain, without_chat: HashSet::new() }
    }

    /// The user at `path`. Whether they have chat is looked at by [`Users::remove_without_chat`], once all are read:
    /// somebody may be named twice.
    pub(super) fn read(&mut self, json: &RawValue, path: FieldPath) -> Result<UserJid, Poison> {
        match json.get().as_bytes().first() {
            Some(b'"') => self.named(&text(json, path)?, path),
            Some(b'{') => self.described(&Fields::of_object(json, path)?),
            _ => Err(Poison::IllTyped { path, wanted: USER }),
        }
    }

    /// All users of the list at `path`, each once.
    pub(super) fn read_list(&mut self, list: &[&RawValue], path: FieldPath) -> Result<Vec<UserJid>, Poison> {
        if list.len() > MAX_USERS {
            return Err(Poison::TooMany { path, count: list.len(), max: MAX_USERS });
        }
        let mut seen = HashSet::with_capacity(list.len());
        let mut users = Vec::with_capacity(list.len());
        for (index, json) in list.iter().enumerate() {
            let user = self.read(json, path.item(index))?;
            if seen.insert(user.clone()) {
                users.push(user);
            }
        }
        Ok(users)
    }

    /// Leaves those out of `users` who have no chat.
    pub(super) fn remove_without_chat(&self, users: &mut Vec<UserJid>) {
        users.retain(|user| !self.without_chat.contains(user));
    }

    /// A string: a user name of the event's domain, or else a JID, escaped already.
    fn named(&self, name: &str, path: FieldPath) -> Result<UserJid, Poison> {
        let user = if name.contains('@') {
            UserJid::canonical(name)
        } else {
            UserJid::of_username(name, self.domain.as_str())
        };
        self.served(user, name, path)
    }

    /// An object, whose `username` may hold anything.
    fn described(&mut self, fields: &Fields<'_>) -> Result<UserJid, Poison> {
        let username = fields.text("username")?;
        let domain = fields.optional_text("domain")?;
        let user = UserJid::of_username(&username, domain.as_deref().unwrap_or(self.domain.as_str()));
        let user = match (user, &domain) {
            (Err(AddressError::DomainNotCanonical), Some(domain)) => {
                self.served(Err(AddressError::DomainNotCanonical), domain, fields.path("domain"))
            }
            (user, _) => self.served(user, &username, fields.path("username")),
        }?;
        if let Some(capabilities) = fields.optional_list("capabilities")? {
            let mut may_chat = false;
            for capability in capabilities {
                may_chat |= text(capability, fields.path("capabilities"))? == CHAT;
            }
            if !may_chat {
                self.without_chat.insert(user.clone());
            }
        }
        Ok(user)
    }

    fn served(&self, user: Result<UserJid, AddressError>, value: &str, path: FieldPath) -> Result<UserJid, Poison> {
        let user = user.map_err(|cause| Poison::Address { path, value: Quoted::new(value), cause })?;
        if self.tenancy.is_reserved(user.domain()) {
            return Err(Poison::ReservedDomain { path, value: Quoted::new(value) });
        }
        Ok(user)
    }
}
