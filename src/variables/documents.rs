//! Generates documents from the table of variables: the list that `npm start` reads, and a table of the
//! manual.
//!
//! After a change of the table, `UPDATE=1 cargo test variables` writes both again.

use std::fmt::Write as _;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Binding, Choice, Named, Number, Secret, Text, table};

const SCRIPT: &str = "scripts/variables.json";
const MANUAL: &str = "docs/operations.md";
/// The lines of the manual that enclose the table.
const MARKS: [&str; 2] =
    ["<!-- written by `UPDATE=1 cargo test variables` -->\n", "<!-- as far as here -->\n"];

/// A variable as the documents show it.
pub struct Row {
    pub name: &'static str,
    pub doc: &'static str,
    pub values: Values,
}

/// The values that a variable can have.
pub enum Values {
    Text,
    Secret,
    Number { default: u64, min: u64, max: u64 },
    Words(Vec<&'static str>),
    Binding,
}

/// A variable of a kind that the documents can show.
pub trait Documented {
    fn values(&self) -> Values;
}

impl Documented for Text {
    fn values(&self) -> Values {
        Values::Text
    }
}

impl Documented for Secret {
    fn values(&self) -> Values {
        Values::Secret
    }
}

impl Documented for Number {
    fn values(&self) -> Values {
        Values::Number { default: self.default, min: *self.range.start(), max: *self.range.end() }
    }
}

impl<T: Named + Default> Documented for Choice<T> {
    /// The default comes first.
    fn values(&self) -> Values {
        let mut words: Vec<&str> = T::ALL.iter().map(|value| value.as_str()).collect();
        words.sort_by_key(|word| *word != T::default().as_str());
        Values::Words(words)
    }
}

impl Documented for Binding {
    fn values(&self) -> Values {
        Values::Binding
    }
}

#[test]
fn the_files_generated_from_the_table_are_up_to_date() {
    let manual = read_to_string(at(MANUAL)).unwrap();
    let (before, rest) = manual.split_once(MARKS[0]).expect("the manual has a place for the table");
    let (_, after) = rest.split_once(MARKS[1]).expect("the manual says where the table ends");
    let [from, to] = MARKS;
    assert_written(SCRIPT, &script());
    assert_written(MANUAL, &format!("{before}{from}\n{}\n{to}{after}", manual_table()));
}

/// Anything read by a [`super::Name`] is in the table, since only the table makes one. This test is about
/// everything else.
#[test]
fn only_variables_in_the_table_are_read_from_the_environment() {
    for read in sources().iter().flat_map(|source| source.split("env, &\"").skip(1)) {
        let name = read.split('"').next().unwrap_or_default();
        assert!(is_listed(name), "{name} is not in src/variables.rs");
    }
}

#[test]
fn everything_in_the_table_is_read() {
    let sources = sources();
    for Row { name, .. } in table() {
        let reads = [format!("variables::{name})"), format!("env, &\"{name}\"")];
        let is_read = |source: &String| reads.iter().any(|read| source.contains(read));
        assert!(sources.iter().any(is_read), "nothing reads {name}");
    }
}

#[test]
fn every_variable_that_a_table_of_the_documents_explains_exists() {
    for file in files(&at("docs"), "md") {
        let text = read_to_string(&file).unwrap();
        for table in text.split("\n| variable |").skip(1) {
            let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
            for name in rows.filter_map(|row| row.split('`').nth(1)) {
                assert!(is_listed(name), "{name} of {} is not in src/variables.rs", file.display());
            }
        }
    }
}

fn sources() -> Vec<String> {
    files(&at("src"), "rs").iter().map(|file| read_to_string(file).unwrap()).collect()
}

fn is_listed(name: &str) -> bool {
    table().iter().any(|row| row.name == name)
}

fn script() -> String {
    let names = |is_meant: fn(&Values) -> bool| -> Vec<&str> {
        table().iter().filter(|row| is_meant(&row.values)).map(|row| row.name).collect()
    };
    let lists = json!({
        "variables": names(|values| !matches!(values, Values::Secret | Values::Binding)),
        "secrets": names(|values| matches!(values, Values::Secret)),
    });
    serde_json::to_string_pretty(&lists).unwrap() + "\n"
}

fn manual_table() -> String {
    let mut lines = String::from("| variable | meaning | values | default |\n|---|---|---|---|\n");
    for Row { name, doc, values } in table() {
        let doc = doc.strip_suffix('.').unwrap_or(doc);
        let (values, default) = match values {
            Values::Text => ("text".into(), "none".into()),
            Values::Secret => ("secret".into(), "none".into()),
            Values::Binding => ("binding".into(), String::new()),
            Values::Words(words) => (format!("`{}`", words.join("`, `")), format!("`{}`", words[0])),
            Values::Number { default, min, max } => {
                let unit = if name.ends_with("_MS") { " ms" } else { "" };
                (format!("{} to {}{unit}", grouped(min), grouped(max)), grouped(default))
            }
        };
        let _ = writeln!(lines, "| `{name}` | {doc} | {values} | {default} |");
    }
    lines
}

/// Returns `60000` as `60,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

fn assert_written(file: &str, generated: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(at(file), generated).unwrap();
    }
    let committed = read_to_string(at(file)).unwrap_or_default();
    assert!(committed == generated, "{file} is stale: run `UPDATE=1 cargo test variables`");
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of_entry = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => files(&path, extension),
        Some(end) if end == extension => vec![path],
        _ => Vec::new(),
    };
    entries.flat_map(of_entry).collect()
}
