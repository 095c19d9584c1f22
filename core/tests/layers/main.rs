//! The layers of `core/src`: who may import whom, and which library, as the table in docs/ARCHITECTURE.md says; and the
//! sizes that all Rust of the workspace keeps to.

mod graph;
mod paths;
mod sizes;
mod table;
mod tree;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use self::{graph::cycles, table::Table, tree::Tree};

/// What is still too large, by the beginning of the line that says so. Nothing may be added.
const TOO_LARGE: &[&str] = &[];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn core() -> Tree {
    Tree::read(&workspace().join("core"))
}

fn fail_with(faults: &[String], advice: &str) {
    assert!(faults.is_empty(), "\n{}\n{advice}\n", faults.join("\n"));
}

#[test]
fn no_two_files_import_each_other() {
    let mut edges: BTreeMap<(String, String), String> = BTreeMap::new();
    for edge in core().edges() {
        if edge.module() == edge.target_module() {
            edges.entry((edge.from.clone(), edge.to.clone())).or_insert_with(|| edge.to_string());
        }
    }
    fail_with(
        &cycles(&edges),
        "Files of one module must not import each other. Import siblings by path and not through the front (mod.rs); \
         what several share goes into a file below them.",
    );
}

#[test]
fn no_two_modules_import_each_other() {
    let mut edges: BTreeMap<(String, String), String> = BTreeMap::new();
    for edge in core().edges() {
        let (from, to) = (edge.module(), edge.target_module());
        if from != to {
            edges.entry((from.to_owned(), to.to_owned())).or_insert_with(|| edge.to_string());
        }
    }
    fail_with(&cycles(&edges), "Modules must not import each other: what both need goes into a module below them.");
}

#[test]
fn the_table_in_the_architecture_is_what_the_code_does() {
    let (tree, table) = (core(), Table::read(&workspace().join("docs/ARCHITECTURE.md")));
    let mut faults: Vec<String> = Vec::new();
    let modules: BTreeSet<&str> = tree.modules();
    faults.extend(modules.iter().filter(|one| !table.has(one)).map(|one| format!("no row for the module {one}")));
    let mut used: BTreeSet<(String, String)> = BTreeSet::new();
    for edge in tree.edges() {
        let (from, to) = (edge.module(), edge.target_module());
        if from != to {
            if !table.knows(from, to) {
                faults.push(format!("{edge}: {from} must not know {to}"));
            }
            used.insert((from.to_owned(), to.to_owned()));
        }
    }
    for library in tree.libraries() {
        let (from, to) = (library.module(), &library.to);
        if !table.is_common(to) {
            if !table.uses(from, to) {
                faults.push(format!("{library}: {from} must not use {to}"));
            }
            used.insert((from.to_owned(), to.clone()));
        }
    }
    faults.extend(
        table
            .rows()
            .filter(|row| !used.contains(row))
            .map(|(from, to)| format!("docs/ARCHITECTURE.md lets {from} know {to}, which it does not (any more)")),
    );
    fail_with(&faults, "Change the code; or the table in docs/ARCHITECTURE.md, \"Inside core/src\", and say why.");
}

#[test]
fn functions_structs_and_files_are_of_a_size() {
    let (known, new): (Vec<String>, Vec<String>) =
        sizes::faults(&workspace()).into_iter().partition(|fault| TOO_LARGE.iter().any(|one| fault.starts_with(one)));
    for one in TOO_LARGE {
        assert!(known.iter().any(|fault| fault.starts_with(one)), "take {one}, which is no longer, out of TOO_LARGE");
    }
    fail_with(&new, "Split it; a struct may say why it is large: // Fields: <why>.");
}
