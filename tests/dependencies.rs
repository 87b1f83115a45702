//! Checks of the dependencies that need no network. Advisories would.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;

/// The crates that the Worker depends on directly. Adding one is a deliberate decision, and so is any change
/// of this list.
const CRATES: [&str; 8] = [
    "console_error_panic_hook",
    "futures",
    "hmac-sha256",
    "js-sys",
    "litemap",
    "wasm-bindgen",
    "web-sys",
    "worker-sys",
];

#[test]
fn the_worker_depends_directly_on_the_listed_crates_only() {
    let manifest = include_str!("../Cargo.toml");
    let runtime =
        manifest.split("\n[dependencies]").nth(1).unwrap().split("\n[dev-dependencies]").next().unwrap();
    let names = runtime.lines().filter(|line| !line.starts_with(['#', '[']));
    let mut names: Vec<&str> = names.filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, CRATES);
}

#[test]
fn every_crate_comes_from_the_registry_with_a_checksum() {
    let lock = include_str!("../Cargo.lock");
    let packages: Vec<&str> = lock.split("[[package]]").skip(1).collect();
    assert!(packages.len() > 10);
    for package in packages.iter().filter(|package| !package.contains("name = \"bobbin\"")) {
        assert!(package.contains("\nsource = \"registry+"), "{package}");
        assert!(package.contains("\nchecksum = \""), "{package}");
    }
}

#[test]
fn every_npm_package_is_locked_with_a_hash_and_direct_ones_have_exact_versions() {
    let lock: Value = serde_json::from_str(include_str!("../package-lock.json")).unwrap();
    let packages = lock["packages"].as_object().unwrap();
    for (path, package) in packages.iter().filter(|(path, _)| path.starts_with("node_modules/")) {
        assert!(package["link"] == true || package["integrity"].is_string(), "{path}");
    }
    let manifest: Value = serde_json::from_str(include_str!("../package.json")).unwrap();
    for kind in ["dependencies", "devDependencies", "optionalDependencies"] {
        for (name, version) in manifest[kind].as_object().into_iter().flatten() {
            // An alias includes the package: `npm:workerd@1.2.3`.
            let version = version.as_str().unwrap().rsplit('@').next().unwrap();
            assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{name} {version}");
        }
    }
}
