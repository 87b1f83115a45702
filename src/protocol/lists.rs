//! Lists with little code.

/// Collects into a `Vec`. What `collect` has for this grows by what is left, but for each kind of iterator it is three times the code.
pub trait CollectVec: Iterator + Sized {
    /// The items, in their order.
    fn collect_vec(self) -> Vec<Self::Item> {
        let mut items = Vec::new();
        for item in self {
            items.push(item);
        }
        items
    }
}

impl<I: Iterator> CollectVec for I {}
