//! The table of modules in docs/ARCHITECTURE.md: which others each may know, and which libraries.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

const HEAD: &str = "| module | what it is | knows | libraries |";
const COMMON: &str = "Libraries that every module may use:";

#[derive(Debug, Default)]
pub(crate) struct Table {
    knows: BTreeMap<String, BTreeSet<String>>,
    uses: BTreeMap<String, BTreeSet<String>>,
    common: BTreeSet<String>,
}

/// The names in backticks, as code writes them.
fn names(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(|name| name.replace('-', "_")).collect()
}

impl Table {
    pub(crate) fn read(document: &Path) -> Self {
        let text = std::fs::read_to_string(document).unwrap();
        let mut table = Self::default();
        let start = text.find(HEAD).unwrap_or_else(|| panic!("{} lacks the table {HEAD}", document.display()));
        for row in text[start..].lines().skip(2).take_while(|line| line.starts_with('|')) {
            let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
            let [module, _, knows, uses] = cells[..] else { panic!("not four cells: {row}") };
            let module = names(module).pop_first().unwrap_or_else(|| panic!("no module in {row}"));
            table.knows.insert(module.clone(), names(knows));
            table.uses.insert(module, names(uses));
        }
        let start = text.find(COMMON).unwrap_or_else(|| panic!("{} lacks \"{COMMON}\"", document.display()));
        table.common = names(text[start..].split("\n\n").next().unwrap_or_default());
        table
    }

    pub(crate) fn has(&self, module: &str) -> bool {
        self.knows.contains_key(module)
    }

    pub(crate) fn knows(&self, from: &str, to: &str) -> bool {
        self.knows.get(from).is_some_and(|known| known.contains(to))
    }

    pub(crate) fn uses(&self, from: &str, library: &str) -> bool {
        self.uses.get(from).is_some_and(|used| used.contains(library))
    }

    pub(crate) fn is_common(&self, library: &str) -> bool {
        self.common.contains(library)
    }

    /// All that it allows.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (String, String)> {
        let both = self.knows.iter().chain(&self.uses);
        both.flat_map(|(from, all)| all.iter().map(move |to| (from.clone(), to.clone())))
    }
}
