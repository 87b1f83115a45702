//! What an answer cost, as the server reports it.

/// Counts of tokens, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) prompt: Option<u64>,
    pub(super) answer: Option<u64>,
    pub(super) total: Option<u64>,
}

impl Usage {
    /// Takes a later report, which may be a part of one. A server that has counted nothing yet says 0.
    pub(super) fn update(&mut self, later: Usage) {
        let counted = |count: Option<u64>| count.filter(|count| *count > 0);
        let (prompt, answer) = (counted(later.prompt), counted(later.answer));
        if prompt.or(answer).is_some() {
            self.total = None;
        }
        self.prompt = prompt.or(self.prompt);
        self.answer = answer.or(self.answer);
        self.total = counted(later.total).or(self.total);
    }

    /// Prompt and answer together.
    pub(super) fn total(&self) -> Option<u64> {
        self.total.or_else(|| match (self.prompt, self.answer) {
            (None, None) => None,
            (prompt, answer) => Some(prompt.unwrap_or(0).saturating_add(answer.unwrap_or(0))),
        })
    }
}
