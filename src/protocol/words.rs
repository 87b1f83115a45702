//! Words of the contract: enums whose values are written as strings.
//!
//! A version of Bobbin can meet words that a newer one stored. [`Word`] keeps such a word unchanged, so an
//! older build loses nothing that is stored.

use super::{Json, Read, Write};

/// An enum whose values are written as strings.
pub trait Named: Copy + PartialEq + 'static {
    /// Every value.
    const ALL: &'static [Self];
    /// The words, in the same order.
    const WORDS: &'static [&'static str];

    /// Returns the word of the value.
    fn as_str(self) -> &'static str;

    /// Lists all words for people: `a, b or c`.
    #[must_use]
    fn listed() -> String {
        listed(Self::WORDS)
    }

    /// Returns the value of a word.
    #[must_use]
    fn named(name: &str) -> Option<Self> {
        Self::ALL.get(place(Self::WORDS, name)?).copied()
    }
}

/// One function for all enums, so that each does not add its own code.
#[inline(never)]
fn place(words: &[&str], word: &str) -> Option<usize> {
    words.iter().position(|known| *known == word)
}

fn listed(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, others)) if !others.is_empty() => [&others.join(", "), " or ", last].concat(),
        _ => words.concat(),
    }
}

/// A word that this version knows, or one that a newer version wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word<T> {
    /// A word of this version.
    Known(T),
    /// A word of another version, as it was written.
    Other(String),
}

impl<T: Named> Word<T> {
    /// Returns the word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Word::Known(value) => value.as_str(),
            Word::Other(name) => name,
        }
    }

    /// Accepts any word.
    #[must_use]
    pub fn new(name: &str) -> Self {
        T::named(name).map_or_else(|| Word::Other(name.to_owned()), Word::Known)
    }

    /// Returns the value, if this version knows it.
    #[must_use]
    pub fn known(&self) -> Option<T> {
        match self {
            Word::Known(value) => Some(*value),
            Word::Other(_) => None,
        }
    }
}

impl<T: Default> Default for Word<T> {
    fn default() -> Self {
        Word::Known(T::default())
    }
}

impl<T> From<T> for Word<T> {
    fn from(value: T) -> Self {
        Word::Known(value)
    }
}

impl<T: Named> PartialEq<T> for Word<T> {
    fn eq(&self, value: &T) -> bool {
        self.known() == Some(*value)
    }
}

impl<T: Named> Write for Word<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_str().write(out);
    }
}

impl<T: Named> Read for Word<T> {
    fn blank() -> Self {
        Word::Other(String::new())
    }

    fn fill(&mut self, json: Option<&Json>) -> bool {
        let Some(Json::String(word)) = json else { return false };
        *self = Word::new(word);
        true
    }
}

/// Defines an enum together with the words for its values.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(test, derive(ts_rs::TS))]
        pub enum $name { $($(#[$doc])* #[cfg_attr(test, ts(rename = $word))] $value,)+ }

        impl $crate::protocol::Named for $name {
            const ALL: &'static [Self] = &[$($name::$value,)+];
            const WORDS: &'static [&'static str] = &[$($word,)+];

            fn as_str(self) -> &'static str {
                match self { $($name::$value => $word,)+ }
            }
        }

        impl $name {
            /// Returns the word of the value.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                $crate::protocol::Named::as_str(self)
            }
        }

        impl $crate::protocol::Write for $name {
            fn write(&self, out: &mut Vec<u8>) {
                self.as_str().write(out);
            }
        }

        impl $crate::protocol::Read for $name {
            // The compiler evaluates it, so an enum without words does not build.
            #[allow(clippy::indexing_slicing)]
            fn blank() -> Self {
                let [first, ..] = [$($name::$value),+];
                first
            }

            fn fill(&mut self, json: Option<&$crate::protocol::Json>) -> bool {
                let Some($crate::protocol::Json::String(word)) = json else { return false };
                let known = $crate::protocol::Named::named(word);
                *self = known.unwrap_or(*self);
                known.is_some()
            }
        }
    };
}

pub(crate) use words;
