//! Tests the settings that `docs/models.md` recommends.

use bobbin::agent::configured;
use bobbin::variables::{Name, Variables};

const PAGE: &str = include_str!("../../docs/models.md");

#[test]
fn the_settings_of_every_section_configure_an_agent() {
    let snippets: Vec<&str> =
        PAGE.split("```ini\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(snippets.len() > 10, "{}", snippets.len());
    for snippet in snippets {
        let set: Vec<(&str, &str)> = snippet
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| line.split_once('=').unwrap_or_else(|| panic!("no setting: {line}")))
            .collect();
        let read = |name: Name| {
            let (_, value) = set.iter().find(|(set, _)| *set == name.as_str())?;
            Some((*value).to_owned())
        };
        let agent = configured(Variables(&read)).unwrap_or_else(|why| panic!("{why}: {snippet}"));
        let kind = format!("{agent:?}");
        assert!(!kind.starts_with("Echo"), "{snippet}");
        let names = include_str!("../../scripts/variables.json");
        for (name, _) in &set {
            assert!(names.contains(&format!("\"{name}\"")), "{name} is no variable");
        }
    }
}
