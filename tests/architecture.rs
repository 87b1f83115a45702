//! Checks the claims of `docs/architecture.md` about the source tree.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../docs/architecture.md");
/// The modules of the core: they run anywhere, and are tested without the platform.
const CORE: [&str; 5] = ["agent", "dialect", "protocol", "pump", "thread"];
/// Modules outside the core that it may use.
const BESIDE_THE_CORE: [&str; 1] = ["variables"];
/// Words that would bring the platform, a clock, randomness or waiting into the core.
const BANNED: [&str; 16] = [
    "Instant",
    "SystemTime",
    "async",
    "await",
    "fastrand",
    "futures",
    "getrandom",
    "js_sys",
    "rand",
    "sleep",
    "spawn",
    "tokio",
    "uuid",
    "wasm_bindgen",
    "web_sys",
    "worker",
];

#[test]
fn the_module_map_names_every_module_and_no_other() {
    let (listed, found) = (listed_modules(), found_modules());
    let missing: Vec<_> = found.iter().filter(|module| !listed.contains(module)).collect();
    assert!(missing.is_empty(), "the module map in docs/architecture.md lacks {missing:?}");
    let gone: Vec<_> = listed.iter().filter(|module| !found.contains(*module)).collect();
    assert!(gone.is_empty(), "the module map in docs/architecture.md names what is not there: {gone:?}");
    let once: BTreeSet<_> = listed.iter().collect();
    assert_eq!(once.len(), listed.len(), "the module map in docs/architecture.md names a module twice");
}

#[test]
fn the_core_uses_no_platform_no_clock_and_no_randomness_and_never_waits() {
    for source in sources().iter().filter(|source| CORE.contains(&source.room.as_str())) {
        let banned = source.words().find(|word| BANNED.contains(word));
        assert_eq!(banned, None, "in {}: the core takes such things as arguments", source.path);
    }
}

#[test]
fn the_core_uses_no_module_outside_of_it() {
    let may_know = |room: &str| CORE.contains(&room) || BESIDE_THE_CORE.contains(&room);
    for (room, known) in rooms().iter().filter(|(room, _)| may_know(room)) {
        let outside: Vec<_> = known.iter().filter(|known| !may_know(known)).collect();
        assert!(outside.is_empty(), "src/{room} knows {outside:?}");
    }
}

#[test]
fn no_modules_depend_on_each_other_in_a_cycle() {
    let mut rooms = rooms();
    // Modules that need no other remaining one are removed until none is left.
    while let Some(free) = rooms.iter().find(|(_, known)| known.is_empty()).map(|(room, _)| room.clone()) {
        rooms.remove(&free);
        for known in rooms.values_mut() {
            known.remove(&free);
        }
    }
    assert!(rooms.is_empty(), "rooms in a circle, or that need one: {rooms:?}");
}

#[test]
fn banned_words_are_found_only_in_code() {
    let text = "let a = \"worker \\\" async\"; // Instant\nlet c = '\"'; /* await */ fn f<'a>(x: &'a str) { r#\"uuid \" rand\"# }\n";
    let source = Source { path: "here".into(), room: "thread".into(), code: code_of(text) };
    let found: Vec<_> = source.words().filter(|word| BANNED.contains(word)).collect();
    assert!(found.is_empty(), "{found:?} in {}", source.code);
    let source = Source { code: code_of("x.await; worker::Env; 'a: loop { async {} }"), ..source };
    assert_eq!(source.words().filter(|word| BANNED.contains(word)).count(), 3);
}

/// Returns the lines of the map as the modules they name: `thread/turn.rs` as `thread/turn`, `thread/` as
/// `thread`.
fn listed_modules() -> Vec<String> {
    let map = PAGE.split("\n## Module map\n").nth(1).expect("a section with the module map");
    let map = map.split("```\n").nth(1).expect("a map between lines of ```");
    let (mut folders, mut modules) = (Vec::<&str>::new(), Vec::new());
    for line in map.lines().filter(|line| !line.trim().is_empty()) {
        let depth = line.len() - line.trim_start().len();
        let (name, what) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        assert!(!what.trim().is_empty(), "the module map says nothing of {name}");
        folders.truncate(depth / 2);
        let path = [folders.concat(), name.to_owned()].concat();
        assert!(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(&path).exists(),
            "{path} of the module map is not there"
        );
        if let Some(folder) = path.strip_suffix('/') {
            modules.push(folder.to_owned());
            folders.push(name);
        } else if let Some(module) = path.strip_suffix(".rs") {
            modules.push(module.to_owned());
        }
    }
    modules.retain(|module| module != "src");
    modules
}

fn found_modules() -> BTreeSet<String> {
    let of_file = |path: &PathBuf| relative(path).trim_end_matches(".rs").trim_end_matches("/mod").to_owned();
    rust_files(&root().join("src")).iter().map(of_file).collect()
}

/// Returns which modules use which others, according to the paths in their code.
fn rooms() -> BTreeMap<String, BTreeSet<String>> {
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let known = source
            .code
            .split("crate::")
            .skip(1)
            .map(|rest| rest.split(is_not_of_a_name).next().unwrap_or_default());
        let others = known.filter(|known| *known != source.room).map(str::to_owned);
        rooms.entry(source.room.clone()).or_default().extend(others);
    }
    rooms
}

struct Source {
    path: String,
    /// The top-level module in `src` that it belongs to.
    room: String,
    /// Without comments, texts and tests.
    code: String,
}

impl Source {
    fn words(&self) -> impl Iterator<Item = &str> {
        self.code.split(is_not_of_a_name).filter(|word| !word.is_empty())
    }
}

/// Returns all sources except the crate's root, which uses every module, and modules that are only for tests.
fn sources() -> Vec<Source> {
    let files = rust_files(&root().join("src"));
    let texts: Vec<String> = files.iter().map(|file| read_to_string(file).unwrap()).collect();
    let for_tests: Vec<&str> = texts.iter().flat_map(|text| modules_for_tests(text)).collect();
    let of_file = |(file, text): (&PathBuf, &String)| {
        let path = relative(file);
        let is_for_tests = for_tests.iter().any(|name| path.ends_with(&format!("/{name}.rs")));
        let room = path.split('/').nth(1)?.trim_end_matches(".rs").to_owned();
        (!is_for_tests && room != "lib").then(|| Source { code: code_of(&without_tests(text)), path, room })
    };
    files.iter().zip(&texts).filter_map(of_file).collect()
}

fn modules_for_tests(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[cfg(test)]\nmod ")
        .skip(1)
        .filter_map(|rest| rest.split_once(';'))
        .map(|(name, _)| name)
        .filter(|name| !name.contains('{'))
}

/// Returns the text without its test module, which ends at the first brace at the start of a line.
fn without_tests(text: &str) -> String {
    let (before, tests) = text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((text, ""));
    let (_, after) = tests.split_once("\n}").unwrap_or_default();
    [before, after].concat()
}

/// Returns the text with each comment and each literal replaced by a space.
fn code_of(text: &str) -> String {
    let (mut code, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let end = literal_end(rest, code.ends_with(|last| !is_not_of_a_name(last)));
        code.push(if end.is_some() { ' ' } else { first });
        rest = &rest[end.unwrap_or(first.len_utf8())..];
    }
    code
}

/// Returns the end of the comment or literal that the text begins with.
fn literal_end(text: &str, is_in_a_name: bool) -> Option<usize> {
    let after =
        |from: usize, end: &str| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    if text.starts_with("//") {
        return Some(after(2, "\n"));
    }
    if text.starts_with("/*") {
        return Some(after(2, "*/"));
    }
    let raw = text.trim_start_matches('b').strip_prefix('r').filter(|_| !is_in_a_name);
    let hashes = raw.map(|raw| raw.len() - raw.trim_start_matches('#').len());
    if let (Some(raw), Some(hashes)) = (raw, hashes)
        && raw[hashes..].starts_with('"')
    {
        let start = text.len() - raw.len() + hashes + 1;
        return Some(after(start, &format!("\"{}", "#".repeat(hashes))));
    }
    if text.starts_with('"') {
        return Some(quoted_end(text, '"'));
    }
    // A quote begins a character literal, unless it begins a lifetime.
    let mut chars = text.strip_prefix('\'')?.chars();
    let is_char = chars.next()? == '\\' || chars.next()? == '\'';
    is_char.then(|| quoted_end(text, '\''))
}

fn quoted_end(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        if char == quote && !is_escaped {
            return at + 1;
        }
        is_escaped = char == '\\' && !is_escaped;
    }
    text.len()
}

fn is_not_of_a_name(char: char) -> bool {
    !(char.is_alphanumeric() || char == '_')
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the path from the repository's root, with `/` as the separator.
fn relative(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap();
    path.iter().map(|part| part.to_str().unwrap()).collect::<Vec<_>>().join("/")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let of_entry = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => rust_files(&path),
        Some(end) if end == "rs" => vec![path],
        _ => Vec::new(),
    };
    entries.into_iter().flat_map(of_entry).collect()
}
