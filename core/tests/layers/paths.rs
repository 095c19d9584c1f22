//! The paths that a file of Rust names (`use` declarations, paths in code, in macros and in attributes), tests aside.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, File, ImplItemFn, Item, ItemMod, ItemUse, Macro, Meta, Path, UseTree, Visibility,
    spanned::Spanned as _,
    visit::{self, Visit},
};

/// A path as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// The modules in the same file that it is written in.
    pub(crate) within: Vec<String>,
    /// By a `use`; such a path may have one segment.
    pub(crate) is_import: bool,
}

/// What a file names.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    pub(crate) named: Vec<Named>,
    /// The modules with files of their own.
    pub(crate) children: Vec<String>,
    /// The names that its `use` declarations bring in.
    pub(crate) imported: BTreeSet<String>,
    within: Vec<String>,
}

impl Paths {
    pub(crate) fn of(file: &File) -> Self {
        let mut paths = Self::default();
        paths.visit_file(file);
        paths
    }

    fn add(&mut self, segments: Vec<String>, line: usize, is_import: bool) {
        if is_import || segments.len() > 1 {
            self.named.push(Named { segments, line, within: self.within.clone(), is_import });
        }
    }

    fn add_use(&mut self, tree: &UseTree, before: &[String]) {
        let with = |last: String| before.iter().cloned().chain([last]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.add_use(&path.tree, &with(path.ident.to_string())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_use(tree, before)),
            UseTree::Glob(glob) => self.add(before.to_vec(), glob.span().start().line, true),
            UseTree::Name(name) => {
                let name_text = name.ident.to_string();
                let known_as =
                    if name_text == "self" { before.last().cloned().unwrap_or_default() } else { name_text.clone() };
                self.imported.insert(known_as);
                let whole = if name_text == "self" { before.to_vec() } else { with(name_text) };
                self.add(whole, name.ident.span().start().line, true);
            }
            UseTree::Rename(name) => {
                self.imported.insert(name.rename.to_string());
                self.add(with(name.ident.to_string()), name.ident.span().start().line, true);
            }
        }
    }

    /// The paths in the tokens of a macro or an attribute, which are no syntax tree.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut line, mut colons, mut after_dot) = (Vec::new(), 0, 0, false);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 && !path.is_empty() => {
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Ident(ident) => {
                    self.add(std::mem::take(&mut path), line, false);
                    if !after_dot {
                        (path, line) = (vec![ident.to_string()], ident.span().start().line);
                    }
                    (colons, after_dot) = (0, false);
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && colons < 2 => colons += 1,
                other => {
                    self.add(std::mem::take(&mut path), line, false);
                    colons = 0;
                    after_dot = matches!(&other, TokenTree::Punct(punct) if punct.as_char() == '.');
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.add(path, line, false);
    }
}

/// Whether it is there in tests only: `cfg(test)`, or `cfg(any(test, …))` for what tests of other crates need too.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let text = list.tokens.to_string();
            text.split(|c: char| !c.is_alphanumeric()).any(|word| word == "test") && !text.contains("not")
        }
        Meta::Path(path) => path.is_ident("test") || path.segments.last().is_some_and(|last| last.ident == "test"),
        _ => false,
    })
}

pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if module.content.is_none() {
            self.children.push(module.ident.to_string());
        } else {
            self.within.push(module.ident.to_string());
            visit::visit_item_mod(self, module);
            self.within.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(segments, path.span().start().line, false);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, macro_call: &'ast Macro) {
        self.visit_path(&macro_call.path);
        self.add_tokens(macro_call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.add_tokens(list.tokens.clone());
        }
    }

    /// `pub(in crate::…)` says who may see it, not whom it sees.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

#[test]
fn paths_are_found_wherever_they_stand() {
    let source = r#"
        use crate::a::{self, b::{C, D as E}};
        mod child;
        #[derive(one::Derived)]
        pub(in crate::not_this) struct S(f::G);
        #[cfg(test)]
        use crate::tests_only::X;
        mod inline { fn f() { super::h::i(); json!({ "x": crate::j::K, "y": l.m::<n::O>() }) } }
        #[cfg(test)]
        mod tests { use super::not_seen::X; }
    "#;
    let paths = Paths::of(&syn::parse_file(source).unwrap());
    let named: Vec<_> = paths.named.iter().map(|one| one.segments.join("::")).collect();
    let expected =
        ["crate::a", "crate::a::b::C", "crate::a::b::D", "one::Derived", "f::G", "super::h::i", "crate::j::K", "n::O"];
    assert_eq!(named, expected);
    assert_eq!(paths.named[5].within, ["inline"]);
    assert_eq!(paths.named[5].line, 8);
    assert_eq!(paths.children, ["child"]);
    assert_eq!(paths.imported.into_iter().collect::<Vec<_>>(), ["C", "E", "a"]);
}
