//! The users that an event names.

use std::collections::{BTreeSet, HashSet};

use jid::DomainRef;
use serde_json::value::RawValue;

use super::{
    fields::{Fields, USER, text},
    poison::{FieldPath, Poison, Quoted},
};
use crate::address::{AddressError, StringNames, Tenancy, UserJid};

/// Most users in one event: what a megabyte of short names would ask of a function's memory could end it, with
/// the events of others in its batch.
const MAX_USERS: usize = 20_000;

/// Without this capability a user has no chat at all.
const CHAT: &str = "chat";

/// Reads the users of one event. Who cannot be named is left out and costs the others nothing.
pub(super) struct Users<'a> {
    tenancy: &'a Tenancy,
    /// The event's domain, for those who are named without one.
    domain: &'a DomainRef,
    /// Those of whom the event says that they have no chat.
    without_chat: BTreeSet<UserJid>,
    /// Why others are left out.
    left_out: Vec<Poison>,
    /// Whether to look at capabilities.
    reads_capabilities: bool,
}

impl<'a> Users<'a> {
    pub(super) fn new(tenancy: &'a Tenancy, domain: &'a DomainRef) -> Self {
        Self { tenancy, domain, without_chat: BTreeSet::new(), left_out: Vec::new(), reads_capabilities: true }
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

    /// The user at `path`; left out if they cannot be named.
    pub(super) fn read_optional(&mut self, json: &RawValue, path: FieldPath) -> Option<UserJid> {
        self.read(json, path).map_err(|fault| self.left_out.push(fault)).ok()
    }

    /// All users of the list at `path` who can be named, each once.
    ///
    /// # Errors
    /// [`Poison`]: the list is too long, or nobody in it can be named; then why the first cannot.
    pub(super) fn read_list(&mut self, list: &[&RawValue], path: FieldPath) -> Result<Vec<UserJid>, Poison> {
        if list.len() > MAX_USERS {
            return Err(Poison::TooMany { path, count: list.len(), max: MAX_USERS });
        }
        let mut seen = HashSet::with_capacity(list.len());
        let mut users = Vec::with_capacity(list.len());
        for (index, json) in list.iter().enumerate() {
            match self.read(json, path.item(index)) {
                Ok(user) if seen.insert(user.clone()) => users.push(user),
                Ok(_) => {}
                Err(fault) => self.left_out.push(fault),
            }
        }
        if users.is_empty() && !list.is_empty() {
            return Err(self.left_out.swap_remove(self.left_out.len() - list.len()));
        }
        Ok(users)
    }

    /// Who has no chat.
    pub(super) fn without_chat(&self) -> Vec<UserJid> {
        self.without_chat.iter().cloned().collect()
    }

    /// Why users were left out.
    pub(super) fn into_left_out(self) -> Vec<Poison> {
        self.left_out
    }

    /// Reads users from here on without a look at their capabilities: who leaves, leaves, however these are written.
    pub(super) fn whatever_capabilities(&mut self) -> &mut Self {
        self.reads_capabilities = false;
        self
    }

    /// Leaves those out of `users` who have no chat.
    pub(super) fn remove_without_chat(&self, users: &mut Vec<UserJid>) {
        users.retain(|user| !self.without_chat.contains(user));
    }

    /// A string, read as [`StringNames`] says. A JID of another domain may as well be an e-mail address that is somebody's
    /// user name: whoever bears that JID must not become them.
    fn named(&self, name: &str, path: FieldPath) -> Result<UserJid, Poison> {
        if self.tenancy.string_names() == StringNames::Username || !name.contains('@') {
            return self.served(UserJid::of_username(name, self.domain.as_str()), name, path);
        }
        let user = self.served(UserJid::canonical(name), name, path)?;
        if user.domain() != self.domain {
            return Err(Poison::ForeignDomain { path, value: Quoted::new(name) });
        }
        Ok(user)
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
        if self.reads_capabilities
            && let Some(capabilities) = fields.optional_list("capabilities")?
        {
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
        let user = user.map_err(|cause| Poison::address(path, value, cause))?;
        if self.tenancy.is_reserved(user.domain()) {
            return Err(Poison::ReservedDomain { path, value: Quoted::new(value) });
        }
        Ok(user)
    }
}
