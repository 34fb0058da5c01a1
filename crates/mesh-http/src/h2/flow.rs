//! Windows: how many bytes one end may still send (RFC 9113, section 5.2).

use super::settings::MOST_WINDOW;

/// What we may still send. A smaller initial window can make it negative.
#[derive(Clone, Copy, Debug)]
pub(super) struct SendWindow(i64);

impl SendWindow {
    pub(super) fn new(size: u32) -> Self {
        Self(i64::from(size))
    }

    pub(super) fn left(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    pub(super) fn take(&mut self, count: usize) {
        self.0 -= count as i64;
    }

    /// Adds credit; false if the window would be larger than windows may be.
    pub(super) fn add(&mut self, credit: i64) -> bool {
        self.0 += credit;
        self.0 <= MOST_WINDOW
    }
}

/// What the peer may still send, and what of it is to be granted anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceiveWindow {
    size: u32,
    left: u32,
    /// Used up by us, and not announced yet.
    owed: u32,
}

impl ReceiveWindow {
    pub(super) fn new(size: u32) -> Self {
        Self { size, left: size, owed: 0 }
    }

    /// False if so much was not allowed.
    pub(super) fn take(&mut self, count: u32) -> bool {
        match self.left.checked_sub(count) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// Bytes were used: says what is to be announced, once half of the window has gathered.
    pub(super) fn give(&mut self, count: u32) -> Option<u32> {
        self.owed = self.owed.saturating_add(count).min(self.size - self.left);
        if self.owed < self.size.div_ceil(2) {
            return None;
        }
        self.left += self.owed;
        Some(std::mem::take(&mut self.owed))
    }

    /// Bytes that came and were not used.
    pub(super) fn unused(&self) -> u32 {
        self.size - self.left - self.owed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_given_by_halves_and_never_twice() {
        let mut window = ReceiveWindow::new(100);
        assert!(window.take(80) && !window.take(21));
        assert_eq!((window.give(49), window.unused()), (None, 31));
        assert_eq!((window.give(1), window.unused()), (Some(50), 30));
        assert_eq!(window.give(1000), None, "no more than came");
        assert_eq!(window.unused(), 0);
        assert!(window.take(70) && !window.take(1));
    }

    #[test]
    fn send_windows_may_be_negative() {
        let mut window = SendWindow::new(10);
        window.take(10);
        assert!(window.add(-5));
        assert_eq!(window.left(), 0);
        assert!(window.add(7));
        assert_eq!(window.left(), 2);
        assert!(!window.add(MOST_WINDOW));
    }
}
