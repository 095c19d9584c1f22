//! Cycles in a graph of names.

use std::collections::{BTreeMap, BTreeSet};

/// Every cycle of `edges`, which maps (from, to) to where that edge is written: the strongly connected components, each
/// with the edges inside of it.
pub(crate) fn cycles(edges: &BTreeMap<(String, String), String>) -> Vec<String> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in edges.keys() {
        next.entry(from).or_default().push(to);
    }
    let closure: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|from| (*from, reachable(from, &next))).collect();
    let mutual = |one: &str, other: &str| {
        let reaches = |from: &str, to: &str| closure.get(from).is_some_and(|all| all.contains(to));
        reaches(one, other) && reaches(other, one)
    };
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for &start in next.keys() {
        let component: Vec<&str> = next.keys().copied().filter(|other| mutual(start, other)).collect();
        if component.is_empty() || !seen.insert(component.clone()) {
            continue;
        }
        let inside = edges.iter().filter(|((from, to), _)| component.contains(&&**from) && component.contains(&&**to));
        let places: Vec<String> = inside.map(|(_, place)| format!("    {place}")).collect();
        found.push(format!("a cycle of {} ({})\n{}", component.len(), component.join(", "), places.join("\n")));
    }
    found
}

fn reachable<'a>(from: &str, next: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let (mut found, mut left) = (BTreeSet::new(), next.get(from).cloned().unwrap_or_default());
    while let Some(one) = left.pop() {
        if found.insert(one) {
            left.extend(next.get(one).into_iter().flatten());
        }
    }
    found
}

#[test]
fn a_cycle_is_found_round_a_corner_too() {
    let edges = |pairs: &[(&str, &str)]| {
        let edge = |(from, to): &(&str, &str)| ((String::from(*from), String::from(*to)), format!("{from} -> {to}"));
        cycles(&pairs.iter().map(edge).collect())
    };
    assert!(edges(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]).is_empty());
    let found = edges(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]);
    assert_eq!(found, ["a cycle of 3 (a, b, c)\n    a -> b\n    b -> c\n    c -> a"]);
}
