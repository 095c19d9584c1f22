//! A crate's modules, and what each of their files imports.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use crate::paths::{Named, Paths};

/// An import: of a file by a file, or of a library.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    /// The file that imports, below `src/`.
    pub(crate) from: String,
    pub(crate) line: usize,
    /// The file, or the library by the name that code uses.
    pub(crate) to: String,
}

impl Edge {
    pub(crate) fn module(&self) -> &str {
        module_of(&self.from)
    }

    pub(crate) fn target_module(&self) -> &str {
        module_of(&self.to)
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "core/src/{}:{} -> {}", self.from, self.line, self.to)
    }
}

/// The module that a file belongs to, one of those directly below the crate: `rooms/muc/mod.rs` to `rooms`.
fn module_of(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

/// All files of a crate by the path of their modules.
#[derive(Debug)]
pub(crate) struct Tree {
    files: BTreeMap<Vec<String>, (String, Paths)>,
    libraries: BTreeSet<String>,
}

impl Tree {
    /// Reads the library crate in `folder`, module by module from `src/lib.rs`; those of tests are left out.
    pub(crate) fn read(folder: &Path) -> Self {
        let manifest: toml::Table = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap();
        let libraries =
            manifest["dependencies"].as_table().unwrap().keys().map(|name| name.replace('-', "_")).collect();
        let mut tree = Self { files: BTreeMap::new(), libraries };
        tree.add(&folder.join("src"), Vec::new(), "lib.rs".to_owned());
        tree
    }

    fn add(&mut self, sources: &Path, module: Vec<String>, file: String) {
        let text = std::fs::read_to_string(sources.join(&file)).unwrap();
        let paths = Paths::of(&syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}")));
        for child in &paths.children {
            let path: Vec<String> = module.iter().cloned().chain([child.clone()]).collect();
            let folder = path.join("/");
            let candidates = [format!("{folder}.rs"), format!("{folder}/mod.rs")];
            let found = candidates.into_iter().find(|file| sources.join(file).exists());
            self.add(sources, path, found.unwrap_or_else(|| panic!("no file for {folder}")));
        }
        self.files.insert(module, (file, paths));
    }

    /// The modules directly below the crate.
    pub(crate) fn modules(&self) -> BTreeSet<&str> {
        self.files.values().map(|(file, _)| module_of(file)).filter(|module| *module != "lib").collect()
    }

    /// Which file imports which, each place once.
    pub(crate) fn edges(&self) -> Vec<Edge> {
        let target = |module: &[String], _: &Paths, named: &Named| self.file_of(module, named);
        self.collect(target)
    }

    /// Which file uses which library, each place once.
    pub(crate) fn libraries(&self) -> Vec<Edge> {
        let target = |module: &[String], paths: &Paths, named: &Named| {
            let first = &named.segments[0];
            let is_local = self.absolute(module, named).is_some();
            let is_renamed = !named.is_import && paths.imported.contains(first);
            (!is_local && !is_renamed && self.libraries.contains(first)).then(|| first.clone())
        };
        self.collect(target)
    }

    fn collect(&self, target: impl Fn(&[String], &Paths, &Named) -> Option<String>) -> Vec<Edge> {
        let mut edges = Vec::new();
        // The crate's root only says what modules there are.
        for (module, (file, paths)) in self.files.iter().filter(|(module, _)| !module.is_empty()) {
            for named in &paths.named {
                let Some(to) = target(module, paths, named).filter(|to| to != file) else { continue };
                edges.push(Edge { from: file.clone(), line: named.line, to });
            }
        }
        edges
    }

    /// The file of the module that `named`, written in `module`, leads into.
    fn file_of(&self, module: &[String], named: &Named) -> Option<String> {
        let mut path = self.absolute(module, named)?;
        loop {
            if let Some((file, _)) = self.files.get(&path) {
                return Some(file.clone());
            }
            path.pop()?;
        }
    }

    /// `named` from the crate's root on; none for what is in another crate, or no path of a module.
    fn absolute(&self, module: &[String], named: &Named) -> Option<Vec<String>> {
        let mut here: Vec<String> = module.iter().chain(&named.within).cloned().collect();
        let mut rest = &named.segments[..];
        match &*rest[0] {
            "crate" => here.clear(),
            "self" => {}
            "super" => {
                here.pop();
            }
            child => {
                let child = here.iter().cloned().chain([child.to_owned()]).collect::<Vec<_>>();
                if !self.files.contains_key(&child) {
                    return None;
                }
                return Some(here.into_iter().chain(rest.iter().cloned()).collect());
            }
        }
        rest = &rest[1..];
        while rest.first().is_some_and(|segment| segment == "super") {
            here.pop();
            rest = &rest[1..];
        }
        Some(here.into_iter().chain(rest.iter().cloned()).collect())
    }
}
