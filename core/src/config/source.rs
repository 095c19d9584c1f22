//! The keys of `xmpp.toml` with their environment overrides applied, before they get a meaning.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use url::Url;

use super::{
    error::ConfigError,
    keys::{self, Key, Kind},
    variables::{self, Unknown},
};

#[derive(Clone)]
enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
    List(Vec<String>),
}

/// Where a value came from, to name it in an error.
#[derive(Clone)]
enum Origin {
    File,
    Variable(String),
}

/// By section and name.
type Values = BTreeMap<(&'static str, &'static str), (Value, Origin)>;

/// Checked for unknown keys and ill-typed values; asked for typed values by key.
pub(super) struct Source {
    file: PathBuf,
    values: Values,
    /// Of sections that stand there as `[[section]]`: each time they do.
    repeated: BTreeMap<&'static str, Vec<Values>>,
    /// Which of several sections of one name this is about: its name, and its number, from 1.
    one_of: Option<(&'static str, usize)>,
}

impl Source {
    /// Reads `file` and lays the `SIPPO_<SECTION>__<KEY>` variables over it.
    pub(super) fn read(file: &Path, environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            ConfigError::of_file(
                file,
                format!("cannot be read ({error})"),
                "create it from the sample config/xmpp.toml, or point CONFIG_DIR at the folder that holds it",
            )
        })?;
        let mut source = Self { file: file.to_owned(), values: Values::new(), repeated: BTreeMap::new(), one_of: None };
        source.take_file(&text)?;
        source.take_environment(environment)?;
        source.settle_alternatives()?;
        source.ensure_one_admin(environment)?;
        Ok(source)
    }

    fn take_file(&mut self, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            ConfigError::of_file(
                &self.file,
                format!("line {line} is not TOML ({})", error.message()),
                "correct that line; strings need quotes",
            )
        })?;
        for (section, content) in table {
            let repeatable = keys::REPEATABLE.iter().find(|name| **name == section);
            match (content, repeatable) {
                (toml::Value::Table(_), Some(name)) if keys::REPEATED.contains(name) => {
                    return Err(ConfigError::of_key(
                        &self.file,
                        format!("[{name}]"),
                        "is one of several, and stands in single brackets",
                        format!("write [[{name}]]"),
                    ));
                }
                (toml::Value::Table(content), _) => {
                    if keys::known(&section).is_empty() {
                        return Err(self.unknown_section(&format!("[{section}]")));
                    }
                    let values = self.section_values(&section, content)?;
                    self.values.extend(values);
                }
                (toml::Value::Array(all), Some(name)) if all.iter().all(toml::Value::is_table) => {
                    for (content, number) in all.into_iter().zip(1..) {
                        self.one_of = Some((name, number));
                        let toml::Value::Table(content) = content else { continue };
                        let values = self.section_values(&section, content)?;
                        self.repeated.entry(name).or_default().push(values);
                    }
                    self.one_of = None;
                }
                _ => return Err(self.unknown_section(&section)),
            }
        }
        Ok(())
    }

    /// The values of one section, which is known.
    fn section_values(&self, section: &str, content: toml::Table) -> Result<Values, ConfigError> {
        content
            .into_iter()
            .map(|(name, value)| {
                let key = Key::find(section, &name).ok_or_else(|| {
                    ConfigError::of_key(
                        &self.file,
                        format!("{} {name}", self.section_name(section)),
                        "is not a known key",
                        format!("remove it or correct its name; [{section}] knows {}", keys::known(section)),
                    )
                })?;
                let value = match (key.kind, value) {
                    (Kind::Text | Kind::Secret, toml::Value::String(text)) => Value::Text(text),
                    (Kind::Seconds | Kind::Number, toml::Value::Integer(number)) => Value::Number(number),
                    (Kind::Flag, toml::Value::Boolean(flag)) => Value::Flag(flag),
                    (Kind::List, toml::Value::String(text)) => Value::List(vec![text]),
                    (Kind::List, toml::Value::Array(items)) => Value::List(
                        items
                            .into_iter()
                            .map(|item| match item {
                                toml::Value::String(text) => Ok(text),
                                _ => Err(self.ill_typed(key)),
                            })
                            .collect::<Result<_, _>>()?,
                    ),
                    _ => return Err(self.ill_typed(key)),
                };
                Ok(((key.section, key.name), (value, Origin::File)))
            })
            .collect()
    }

    /// Each section of this name, with all other sections: as often as the file has it, or the one and only.
    ///
    /// # Errors
    /// When one of several has two keys that stand for each other.
    pub(super) fn each(&self, section: &'static str) -> Result<Vec<Self>, ConfigError> {
        let with = |values: &Values, one_of| Self {
            file: self.file.clone(),
            values: self.values.iter().chain(values).map(|(key, value)| (*key, value.clone())).collect(),
            repeated: BTreeMap::new(),
            one_of,
        };
        let Some(all) = self.repeated.get(section) else { return Ok(vec![with(&Values::new(), None)]) };
        let mut each: Vec<Self> =
            all.iter().zip(1..).map(|(values, number)| with(values, Some((section, number)))).collect();
        each.iter_mut().try_for_each(Self::settle_alternatives)?;
        Ok(each)
    }

    fn take_environment(&mut self, environment: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        for (variable, text) in environment {
            let Some(key) = variables::key_of(variable).map_err(|unknown| self.unknown_variable(variable, &unknown))?
            else {
                continue;
            };
            if keys::REPEATED.contains(&key.section) {
                return Err(self.of_no_section_alone(variable, key.section));
            }
            let value = match key.kind {
                Kind::Text | Kind::Secret => Value::Text(text.clone()),
                Kind::Seconds | Kind::Number => Value::Number(text.trim().parse().map_err(|_| {
                    ConfigError::of_key(
                        &self.file,
                        overridden(key.section, key.name, variable),
                        "is not a number",
                        if key.kind == Kind::Seconds {
                            "write a whole number of seconds"
                        } else {
                            "write a whole number"
                        },
                    )
                })?),
                Kind::Flag => Value::Flag(text.trim().parse().map_err(|_| {
                    ConfigError::of_key(
                        &self.file,
                        overridden(key.section, key.name, variable),
                        "is neither true nor false",
                        "write one of the two",
                    )
                })?),
                Kind::List => Value::List(
                    text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect(),
                ),
            };
            let values = match self.repeated.get_mut(key.section) {
                None => &mut self.values,
                Some(all) => match only_one_meant(key, all) {
                    Some(values) => values,
                    None => return Err(self.of_no_section_alone(variable, key.section)),
                },
            };
            values.insert((key.section, key.name), (value, Origin::Variable(variable.clone())));
        }
        Ok(())
    }

    /// The error for a variable of which nobody can tell which of several sections it is for.
    fn of_no_section_alone(&self, variable: &str, section: &str) -> ConfigError {
        let fault = format!("cannot tell which [[{section}]] it overrides");
        let place = format!("environment variable {variable}");
        ConfigError::of_key(&self.file, place, fault, "unset it and write the key in the file")
    }

    /// In an environment that serves the XMPP server as well, both have to name the same admin.
    fn ensure_one_admin(&self, environment: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        let (section, name) = ("xmpp", "adminJid");
        let ours = self.text(section, name).unwrap_or(keys::DEFAULT_ADMIN_JID);
        let twin = Key::find(section, name).and_then(|key| variables::xmpp_servers_twin(&key.variable()));
        match twin.and_then(|twin| Some((environment.get(&twin).filter(|jid| !jid.is_empty())?, twin))) {
            Some((servers, twin)) if servers != ours => Err(self.bad(
                section,
                name,
                format!("is {ours:?}, but {twin}, the XMPP server's, is {servers:?}"),
                "make both the same; ours, SIPPO_XMPP__ADMIN_JID, has two underscores in a row",
            )),
            _ => Ok(()),
        }
    }

    /// Of two keys that stand for each other, keeps the one that the environment gives.
    fn settle_alternatives(&mut self) -> Result<(), ConfigError> {
        for (section, one, other) in keys::ALTERNATIVES {
            let origin = |name| self.values.get(&(*section, name)).map(|(_, origin)| origin);
            let overridden = match (origin(*one), origin(*other)) {
                (Some(Origin::File), Some(Origin::Variable(_))) => one,
                (Some(Origin::Variable(_)), Some(Origin::File)) => other,
                (Some(_), Some(_)) => {
                    let beside = self.named(section, one);
                    return Err(self.bad(section, other, format!("is set beside {beside}"), "remove one of the two"));
                }
                _ => continue,
            };
            self.values.remove(&(*section, *overridden));
        }
        Ok(())
    }

    /// Whether there are several sections of this name, or at least one in double brackets.
    pub(super) fn is_repeated(&self, section: &str) -> bool {
        self.repeated.contains_key(section)
    }

    /// The first of these keys of a section that is set.
    pub(super) fn first_set(&self, section: &'static str, names: &[&'static str]) -> Option<&'static str> {
        names.iter().find(|name| self.values.contains_key(&(section, **name))).copied()
    }

    /// Where the keys were read from.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// A text; `None` when the key is absent.
    pub(super) fn text(&self, section: &'static str, name: &'static str) -> Option<&str> {
        match self.values.get(&(section, name)) {
            Some((Value::Text(text), _)) => Some(text),
            _ => None,
        }
    }

    /// A text that must be there.
    pub(super) fn mandatory(&self, section: &'static str, name: &'static str) -> Result<&str, ConfigError> {
        self.text(section, name).filter(|text| !text.is_empty()).ok_or_else(|| self.missing(section, name))
    }

    pub(super) fn secret(&self, section: &'static str, name: &'static str) -> Option<SecretString> {
        self.text(section, name).map(SecretString::from)
    }

    /// A URL of one of `schemes`, without user and password; `None` when the key is absent.
    pub(super) fn url(
        &self,
        section: &'static str,
        name: &'static str,
        schemes: &[&str],
    ) -> Result<Option<Url>, ConfigError> {
        let Some(text) = self.text(section, name) else { return Ok(None) };
        let wanted = schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(" or ");
        let then =
            if schemes.contains(&"file") { " and a host, or with file:/// and the whole path" } else { " and a host" };
        let url = Url::parse(text).map_err(|error| {
            self.bad(section, name, format!("is not a URL ({error})"), format!("write one that begins with {wanted}"))
        })?;
        let whole = url.scheme() == "file" || url.has_host();
        if !schemes.contains(&url.scheme()) || !whole || !url.username().is_empty() || url.password().is_some() {
            return Err(self.bad(
                section,
                name,
                "is not a URL of the right kind",
                format!("write one that begins with {wanted}{then}, without user and password"),
            ));
        }
        Ok(Some(url))
    }

    pub(super) fn number(&self, section: &'static str, name: &'static str) -> Option<i64> {
        match self.values.get(&(section, name)) {
            Some((Value::Number(number), _)) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn flag(&self, section: &'static str, name: &'static str) -> Option<bool> {
        match self.values.get(&(section, name)) {
            Some((Value::Flag(flag), _)) => Some(*flag),
            _ => None,
        }
    }

    pub(super) fn list(&self, section: &'static str, name: &'static str) -> &[String] {
        match self.values.get(&(section, name)) {
            Some((Value::List(items), _)) => items,
            _ => &[],
        }
    }

    /// The error for a value that is there but no good; names the variable when the value came from one.
    pub(super) fn bad(
        &self,
        section: &'static str,
        name: &'static str,
        fault: impl Into<String>,
        hint: impl Into<String>,
    ) -> ConfigError {
        ConfigError::of_key(&self.file, self.named(section, name), fault, hint)
    }

    /// A key as an error names it.
    pub(super) fn named(&self, section: &'static str, name: &'static str) -> String {
        match self.values.get(&(section, name)) {
            Some((_, Origin::Variable(variable))) => overridden(section, name, variable),
            _ => format!("{} {name}", self.section_name(section)),
        }
    }

    /// A section as an error names it.
    fn section_name(&self, section: &str) -> String {
        match self.one_of {
            Some((name, number)) if name == section => format!("[[{section}]] no. {number}"),
            _ => format!("[{section}]"),
        }
    }

    /// The error for a key that must be there and is not.
    pub(super) fn missing(&self, section: &'static str, name: &'static str) -> ConfigError {
        let variable = Key::find(section, name).map(Key::variable).unwrap_or_default();
        let twin = variables::xmpp_servers_twin(&variable);
        let twin = twin.map(|twin| format!(" ({twin}, with one underscore less, is the XMPP server's own)"));
        self.bad(section, name, "is missing", format!("set it there or in {variable}{}", twin.unwrap_or_default()))
    }

    /// The error for a variable that looks like ours.
    fn unknown_variable(&self, variable: &str, unknown: &Unknown) -> ConfigError {
        let meant = match &unknown.meant {
            Some(name) => format!("is {name} meant?"),
            None => "ours are SIPPO_<SECTION>__<KEY>, as in SIPPO_XMPP__XMPP_URL".to_owned(),
        };
        ConfigError::of_key(
            &self.file,
            format!("environment variable {variable}"),
            "overrides no known key",
            format!("unset it or correct its name: {meant}"),
        )
    }

    fn ill_typed(&self, key: &'static Key) -> ConfigError {
        let expected = match key.kind {
            Kind::Text | Kind::Secret => "a string in quotes",
            Kind::Seconds => "a whole number of seconds, without quotes",
            Kind::Number => "a whole number, without quotes",
            Kind::Flag => "true or false, without quotes",
            Kind::List => "a list of strings in quotes",
        };
        self.bad(key.section, key.name, "has the wrong type", format!("write {expected}"))
    }

    fn unknown_section(&self, section: &str) -> ConfigError {
        ConfigError::of_key(
            &self.file,
            section,
            "is not a known section",
            format!("remove it or correct its name; the sections are {}", keys::sections()),
        )
    }
}

/// Of several sections of one name the one that a key from the environment is for: of opaque tokens there is one issuer, which
/// alone is asked with a secret.
fn only_one_meant<'a>(key: &Key, all: &'a mut [Values]) -> Option<&'a mut Values> {
    let mut opaque = all.iter_mut().filter(|values| values.contains_key(&("auth", "introspectionUrl")));
    match (opaque.next(), opaque.next()) {
        (only, None) if key.name.starts_with("introspection") => only,
        _ => None,
    }
}

/// How an error names a key whose value came from the environment.
fn overridden(section: &str, name: &str, variable: &str) -> String {
    format!("[{section}] {name} (from {variable})")
}
