//! Frames that wait: a few, and the ones that can't be replaced by the next stay.

use std::collections::VecDeque;

/// Things in the order in which they came, up to a number.
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

    /// Adds `new`, and returns what has no room then: the oldest without precedence, or `new`.
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

    /// All that wait.
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
        // All have precedence: who comes later waits for the next frame.
        assert_eq!((queue.put("!i"), queue.put("j")), (Some("!i"), Some("j")));
        assert_eq!((queue.pop(), queue.front()), (Some("!e"), Some(&"!f")));
        assert_eq!(queue.put("k"), None);
        assert_eq!(queue.take().collect::<Vec<_>>(), ["!f", "!h", "k"]);
        assert_eq!(queue.pop(), None);
    }
}
