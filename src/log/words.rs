//! Texts that many share, each held once and called by a number, for as long as
//! somebody uses it.

use std::collections::HashMap;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Words {
    numbers: HashMap<Arc<str>, u32>,
    /// By number: the text and how often it is used.
    used: Vec<(Arc<str>, u64)>,
    free: Vec<u32>,
}

impl Words {
    /// The number of a text; it is used once more.
    pub(super) fn take(&mut self, text: &str) -> u32 {
        if let Some(number) = self.number(text) {
            if let Some((_, uses)) = self.used.get_mut(number as usize) {
                *uses += 1;
            }
            return number;
        }
        let text: Arc<str> = Arc::from(text);
        let number = match self.free.pop() {
            Some(number) => {
                if let Some(slot) = self.used.get_mut(number as usize) {
                    *slot = (Arc::clone(&text), 1);
                }
                number
            }
            None => {
                self.used.push((Arc::clone(&text), 1));
                u32::try_from(self.used.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.numbers.insert(text, number);
        number
    }

    /// It is used once less; nobody uses it: it is forgotten.
    pub(super) fn give_back(&mut self, number: u32) {
        let Some((text, uses)) = self.used.get_mut(number as usize) else {
            return;
        };
        *uses = uses.saturating_sub(1);
        if *uses == 0 {
            let text = std::mem::replace(text, Arc::from(""));
            if self.numbers.remove(&text).is_some() {
                self.free.push(number);
            }
        }
    }

    /// The number of a text that somebody uses.
    pub(super) fn number(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    pub(super) fn text(&self, number: u32) -> &str {
        self.used.get(number as usize).map_or("", |(text, _)| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_held_once_and_as_long_as_it_is_used() {
        let mut words = Words::default();
        let (a, b, again) = (words.take("a"), words.take("b"), words.take("a"));
        assert_eq!((a, words.text(b)), (again, "b"));
        words.give_back(a);
        assert_eq!(words.number("a"), Some(a), "somebody still uses it");
        words.give_back(a);
        assert_eq!(words.number("a"), None);
        words.give_back(a);
        assert_eq!(words.take("c"), a, "its number is free, once");
        assert_ne!(words.take("d"), a);
        assert_eq!(words.text(b), "b");
    }
}
