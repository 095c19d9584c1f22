//! How large functions, structs and files may be.

use std::path::{Path, PathBuf};

use syn::{
    Block, ImplItemFn, ItemFn, ItemStruct, Signature, TraitItemFn,
    spanned::Spanned as _,
    visit::{self, Visit},
};

/// Lines of a function, from its `fn` to its last bracket: what fits on a screen.
const MAX_FUNCTION: usize = 60;
/// Fields of a struct that gives no reason: more are seldom one thing.
const MAX_FIELDS: usize = 12;
/// Lines of a file.
const MAX_FILE: usize = 500;
/// How a larger struct says why, in a comment above it.
const REASON: &str = "// Fields: ";

/// What is too large, in all Rust of the workspace.
pub(crate) fn faults(workspace: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for folder in ["bridge", "core", "functions", "tests"] {
        find(&workspace.join(folder), &mut files);
    }
    assert!(files.len() > 100, "where has all the code gone? {files:?}");
    files.iter().flat_map(|file| Sizes::of(file.strip_prefix(workspace).unwrap(), &read(file)).faults).collect()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

struct Sizes<'a> {
    file: &'a Path,
    lines: Vec<&'a str>,
    faults: Vec<String>,
}

impl<'a> Sizes<'a> {
    fn of(file: &'a Path, text: &'a str) -> Self {
        let mut sizes = Self { file, lines: text.lines().collect(), faults: Vec::new() };
        if sizes.lines.len() > MAX_FILE {
            let lines = sizes.lines.len();
            sizes.faults.push(format!("{}: {lines} lines, more than {MAX_FILE}", file.display()));
        }
        sizes.visit_file(&syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
        sizes
    }

    fn function(&mut self, signature: &Signature, block: &Block) {
        let (first, last) = (signature.span().start().line, block.span().end().line);
        let lines = last - first + 1;
        if lines > MAX_FUNCTION {
            let (file, name) = (self.file.display(), &signature.ident);
            self.faults.push(format!("{file}: {name}, line {first}, has {lines} lines, more than {MAX_FUNCTION}"));
        }
    }

    /// Whether the comments right above line `first`, which is counted from 1, hold a reason.
    fn has_reason(&self, first: usize) -> bool {
        let above = self.lines[..first - 1].iter().rev().map(|line| line.trim_start());
        above.take_while(|line| line.starts_with("//") || line.starts_with('#')).any(|line| line.starts_with(REASON))
    }
}

impl<'ast> Visit<'ast> for Sizes<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        let (fields, first) = (item.fields.len(), item.struct_token.span.start().line);
        if fields > MAX_FIELDS && !self.has_reason(first) {
            let (file, name) = (self.file.display(), &item.ident);
            self.faults.push(format!(
                "{file}: {name}, line {first}, has {fields} fields, more than {MAX_FIELDS}, and no reason"
            ));
        }
    }
}

#[test]
fn what_is_too_large_is_found() {
    let fields = |many: usize| (0..many).map(|one| format!("f{one}: u8")).collect::<Vec<_>>().join(", ");
    let long = |lines: usize| format!("fn f() {{\n{}}}\n", "();\n".repeat(lines - 2));
    let check = |text: &str| Sizes::of(Path::new("a.rs"), text).faults;
    assert_eq!(check(&format!("struct S {{ {} }} impl S {{ {} }}", fields(12), long(60))), [""; 0]);
    assert_eq!(check(&long(61)), ["a.rs: f, line 1, has 61 lines, more than 60"]);
    assert_eq!(
        check(&format!("struct S {{ {} }}", fields(13))),
        ["a.rs: S, line 1, has 13 fields, more than 12, and no reason"]
    );
    let with_reason = format!("/// Doc.\n// Fields: a wire format's.\n#[derive(Debug)]\nstruct S {{ {} }}", fields(13));
    assert_eq!(check(&with_reason), [""; 0]);
    assert_eq!(check(&"//\n".repeat(501)), ["a.rs: 501 lines, more than 500"]);
}
