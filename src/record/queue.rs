//! A short queue of frames in which those that the next can't replace are kept.

use std::collections::VecDeque;

/// Items in order of arrival, up to a maximum number.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: VecDeque<T>,
    room: usize,
    has_precedence: fn(&T) -> bool,
}

impl<T> Queue<T> {
    pub fn new(room: usize, has_precedence: fn(&T) -> bool) -> Self {
        Self { waiting: VecDeque::with_capacity(room), room, has_precedence }
    }

    /// Adds `new`, and returns the item that there is no space for: the oldest without precedence, or `new`.
    pub fn put(&mut self, new: T) -> Option<T> {
        if self.waiting.len() < self.room {
            self.waiting.push_back(new);
            return None;
        }
        let Some(left_out) = self
            .waiting
            .iter()
            .position(|waiting| !(self.has_precedence)(waiting))
            .and_then(|i| self.waiting.remove(i))
        else {
            return Some(new);
        };
        self.waiting.push_back(new);
        Some(left_out)
    }

    pub fn front(&self) -> Option<&T> {
        self.waiting.front()
    }

    pub fn pop(&mut self) -> Option<T> {
        self.waiting.pop_front()
    }

    /// Removes all items.
    pub fn take(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.waiting).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_without_precedence_makes_room() {
        let mut queue = Queue::new(3, |text: &&str| text.starts_with('!'));
        for new in ["a", "b", "c"] {
            assert_eq!(queue.put(new), None);
        }
        assert_eq!(queue.put("d"), Some("a"));
        assert_eq!(queue.put("!e"), Some("b"));
        assert_eq!(queue.put("!f"), Some("c"));
        assert_eq!(queue.put("g"), Some("d"));
        assert_eq!(queue.put("!h"), Some("g"));
        // All have precedence: the new one is refused.
        assert_eq!((queue.put("!i"), queue.put("j")), (Some("!i"), Some("j")));
        assert_eq!((queue.pop(), queue.front()), (Some("!e"), Some(&"!f")));
        assert_eq!(queue.put("k"), None);
        assert_eq!(queue.take().collect::<Vec<_>>(), ["!f", "!h", "k"]);
        assert_eq!(queue.pop(), None);
    }
}
