//! Checks the documents against the types that are generated from the contract, and against the tree.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use bobbin::protocol::{ErrorCode, Named};
use serde_json::Value;

/// The client's types, as `src/protocol/typescript.rs` generates them.
const TYPES: &str = include_str!("../client/src/protocol.ts");
const CONTRACT: &str = include_str!("../docs/protocol.md");
const API: &str = include_str!("../docs/openapi.json");
const FOLDERS: [&str; 11] = [
    "src/",
    "tests/",
    "docs/",
    "scripts/",
    "client/",
    "web/",
    "migrations/",
    "fuzz/",
    "examples/",
    "packages/",
    "templates/",
];
const WRANGLER: &str = include_str!("../wrangler.toml");

#[test]
fn the_contract_names_every_frame_and_every_kind_of_block() {
    let kinds: Vec<&str> = quoted_after(TYPES, "\"type\": \"").collect();
    assert!(kinds.len() > 20, "{kinds:?}");
    for kind in kinds {
        let named = format!("\"type\":\"{kind}\"");
        assert!(CONTRACT.contains(&named), "docs/protocol.md has no {named}");
    }
}

#[test]
fn the_contract_describes_every_field_of_its_values() {
    // The text after the start of a comment continues after its end.
    let code = TYPES.split("/**").map(|part| part.rsplit("*/").next().unwrap_or_default());
    let words = code.flat_map(|code| code.split([' ', '{', '\n'])).filter_map(|word| word.strip_suffix(':'));
    let fields = words.map(|field| field.trim_end_matches('?')).filter(|field| !field.starts_with('"'));
    let fields: Vec<&str> = fields.filter(|field| !field.is_empty()).collect();
    assert!(fields.len() > 50, "{fields:?}");
    for field in fields {
        assert!(CONTRACT.contains(&format!("\"{field}\"")), "docs/protocol.md has no \"{field}\"");
    }
}

#[test]
fn the_contract_has_every_error_code_in_its_table() {
    for code in ErrorCode::ALL {
        let row = format!("\n| `{}` |", code.as_str());
        assert!(CONTRACT.contains(&row), "docs/protocol.md has no row for {}", code.as_str());
    }
}

/// If the worker does not handle a path first, the page's own server answers it.
#[test]
fn every_described_route_is_handled_by_the_worker_and_not_by_the_pages_server() {
    let api: Value = serde_json::from_str(API).unwrap();
    let first =
        WRANGLER.lines().find_map(|line| line.strip_prefix("run_worker_first = ")).expect("run_worker_first");
    let first: Vec<String> = serde_json::from_str(first).unwrap();
    for path in api["paths"].as_object().unwrap().keys() {
        let covers = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == pattern,
        };
        assert!(first.iter().any(covers), "run_worker_first of wrangler.toml does not cover {path}");
    }
}

#[test]
fn every_file_that_the_guides_name_exists() {
    let guides = [
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/architecture.md",
        "docs/compare.md",
        "docs/deploy.md",
        "docs/operations.md",
        "docs/security.md",
    ];
    for guide in guides {
        let text = std::fs::read_to_string(at(guide)).unwrap();
        // Outside of code blocks, every second part between backticks is inline code.
        let prose = text.split("\n```").step_by(2).collect::<String>();
        let names = prose
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| FOLDERS.iter().any(|folder| name.starts_with(folder)));
        for name in names.filter(|name| !name.contains(['<', '*', ' '])) {
            assert!(at(name).exists(), "{guide} names {name}, which is not there");
        }
    }
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn quoted_after<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(start).skip(1).filter_map(|rest| rest.split('"').next())
}
